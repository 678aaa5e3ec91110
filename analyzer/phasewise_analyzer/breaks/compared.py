"""The calls in scope, each beside the one that it should have gone on from."""

from decimal import Decimal

import numpy as np
import numpy.typing as npt
import orjson
from phasewise_store.facts import Usage

from phasewise_analyzer import bill
from phasewise_analyzer.breaks import predecessors
from phasewise_analyzer.breaks.facts import Break
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.prices import Rates

Ints = npt.NDArray[np.int64]
Nodes = npt.NDArray[np.int32]

LEAST_TOKENS = 16
"""less is an edge of a block, and no break; of hashed blocks, two"""


class Compared:
    """The calls in scope, each beside the one it is compared with."""

    def __init__(self, requests: Requests) -> None:
        calls, tree = requests.calls, requests.tree
        self.tree = tree
        self.stored = requests.stored
        self.rows = calls.rows(named=True)
        self.block_tokens = calls["block_tokens"].fill_null(0).to_numpy().astype(np.int64)
        self.tokens = requests.tokens
        self.last_role = requests.role
        self.before = predecessors.find(calls, tree)
        every = np.arange(calls.height)
        self.shared = self.tokens.at(every, self.before.shared)
        self.with_previous = self.tokens.at(every, self.before.with_previous)
        previous = self.before.previous
        smaller = np.minimum(self.tokens.whole, self.tokens.whole[previous])
        self.expected: Ints = np.where(previous >= 0, smaller, 0)
        """[calls] of the prompt, what the call before it in the stream had sent at most"""

    def deep(self) -> int:
        """Count the calls that share less than half with the call before them."""
        ends = np.append(self.tree.blocks_end, 0)
        previous = self.before.previous
        both = np.minimum(ends[self.tree.leaf], ends[self.tree.leaf[previous]])
        shared = ends[self.before.with_previous]
        return int(((previous >= 0) & (2 * shared < both)).sum())

    def goes_on(self, row: int) -> bool:
        """Say whether the call's prompt starts with the whole prompt of an earlier one."""
        before = self.before
        return self._holds(row, before.previous, before.with_previous) or self._holds(
            row, before.nearest, before.shared
        )

    def _holds(self, row: int, other: Ints, shared: Nodes) -> bool:
        node = int(shared[row])
        return node >= 0 and other[row] >= 0 and int(self.tree.leaf[other[row]]) == node

    def request(self, row: int) -> dict[str, object]:
        """Give the settings of a call."""
        found: dict[str, object] = orjson.loads(self.rows[row]["request"])
        return found

    def said(self, row: int) -> str | None:
        """Give what the provider itself says of the call's cache, None where it is silent."""
        found = self.request(row).get("cache_diagnosis")
        return str(found["reason"]) if isinstance(found, dict) and "reason" in found else None

    def least(self, row: int) -> int:
        """Give the tokens below which nothing is said to be lost."""
        return max(LEAST_TOKENS, 2 * int(self.block_tokens[row]))

    def made(self, row: int, against: int, cause: Cause, **facts: object) -> Break:
        """Make a break of a call that is compared with `against`."""
        call, other = self.rows[row], self.rows[against]
        lost = facts.pop("lost_tokens")
        assert isinstance(lost, int)
        starts = call["started_ns"], other["started_ns"]
        defaults: dict[str, object] = {
            "tier": "messages",
            "place": "",
            "before": "",
            "after": "",
            "expected_tokens": int(self.expected[row]),
        }
        return Break(
            call_id=call["call_id"],
            session_id=call["session_id"],
            agent=call["agent"],
            model=call["model"],
            step=call["step"],
            after_call_id=other["call_id"],
            gap_s=None if None in starts else (starts[0] - starts[1]) / 1e9,
            cause=cause,
            shared_tokens=int(self.shared[row]),
            read_tokens=call["cache_read_tokens"] if call["cache_reported"] else None,
            lost_tokens=lost,
            lost_usd=_usd(call, lost),
            provider_says=self.said(row),
            **(defaults | facts),  # type: ignore[arg-type]  # fields of Break, by name
        )


def _usd(call: dict[str, object], tokens: int) -> Decimal | None:
    """Price tokens that were not read from a cache; None where the call has no price."""
    if call["rates"] is None:
        return None
    usage = Usage(
        uncached_tokens=int(str(call["uncached_tokens"])),
        cache_write_5m_tokens=int(str(call["cache_write_5m_tokens"])),
        cache_write_1h_tokens=int(str(call["cache_write_1h_tokens"])),
    )
    return bill.above_read_usd(Rates.from_json(str(call["rates"])), usage, tokens)
