"""The calls in scope, each beside the one that it should have gone on from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from phasewise_analyzer import bill, cache_states
from phasewise_analyzer.breaks import predecessors
from phasewise_analyzer.breaks.facts import Break
from phasewise_analyzer.breaks.prompts import PromptPaths
from phasewise_analyzer.caches.requests import Requests, settings_of
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.prices import Rates

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Nodes = npt.NDArray[np.int32]

LEAST_TOKENS = 16
"""less is an edge of a block, and no break; of hashed blocks, two"""


@dataclass(frozen=True, slots=True)
class Compared:
    """Calls, each beside the one that it is compared with; an entry a call in all columns."""

    rows: Sequence[Mapping[str, Any]]
    """columns of `reads.llm_calls`, in order of arrival"""
    block_tokens: Ints
    """0 where the prompt is text"""
    whole: Ints
    """tokens of the prompt: as reported, else estimated"""
    has_prompt: Bools
    previous: Ints
    """rows of the other calls, -1 where there is none; see `Predecessors`"""
    template: Ints
    parent: Ints
    nearest: Ints
    shared: Ints
    """tokens of the prompt that `nearest` had sent"""
    with_previous: Ints
    """tokens of it that `previous` had sent, whatever its model"""
    goes_on: Bools
    """whether the prompt starts with the whole prompt of `previous` or `nearest`"""
    is_deep: Bools
    """whether it shares less than half of what it and `previous` both have"""
    last_role: Callable[[int], str]
    """of a row: the role of the prompt's last message"""
    segments: Callable[[int], list[int]]
    """of a row: the ids of its prompt's segments"""

    def expected(self, row: int) -> int:
        """Give the tokens of the prompt that the call before it in the stream had sent at most."""
        previous = int(self.previous[row])
        return min(int(self.whole[row]), int(self.whole[previous])) if previous >= 0 else 0

    def request(self, row: int) -> Mapping[str, object]:
        """Give the settings of a call."""
        return settings_of(self.rows[row]["request"]).said

    def said(self, row: int) -> str | None:
        """Give what the provider itself says of the call's cache, None where it is silent."""
        found = self.request(row).get("cache_diagnosis")
        return str(found["reason"]) if isinstance(found, dict) and "reason" in found else None

    def least(self, row: int) -> int:
        """Give the tokens below which nothing is said to be lost."""
        return max(LEAST_TOKENS, 2 * int(self.block_tokens[row]))

    def known(self, row: int) -> int:
        """Give the tokens of the prompt that were sent before or cached: a break is behind them."""
        call = self.rows[row]
        return max(int(call["sent_before_tokens"] or 0), int(call["cache_read_tokens"]))

    def broken(self, row: int, tokens: int) -> int:
        """Give how many of so many tokens, that the prompt could have shared, are lost."""
        return max(0, min(tokens, int(self.whole[row]) - self.known(row)))

    def made(
        self, row: int, against: int, cause: Cause, *, lost: int, start: int, **facts: object
    ) -> Break:
        """Make a break of a call that is compared with `against`; `lost` tokens from `start` on."""
        call, other = self.rows[row], self.rows[against]
        starts = call["started_ns"], other["started_ns"]
        defaults: dict[str, object] = {
            "tier": "messages",
            "place": "",
            "before": "",
            "after": "",
            "expected_tokens": self.expected(row),
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
            lost_usd=_usd(call, start, start + lost),
            provider_says=self.said(row),
            **(defaults | facts),  # type: ignore[arg-type]  # fields of Break, by name
        )


def _usd(call: Mapping[str, Any], start: int, end: int) -> Decimal | None:
    """Price a stretch of a prompt above a cache read; None where the call has no price."""
    if call["rates"] is None:
        return None
    rates, usage = Rates.from_json(call["rates"]), cache_states.billed(call)
    until, before = (
        bill.above_read_usd(rates, usage, max(0, place - usage.cache_read_tokens))
        for place in (end, start)
    )
    return until - before


def all_of(requests: Requests) -> Compared:
    """Compare all calls of a scope with each other."""
    calls, tree, tokens = requests.calls, requests.tree, requests.tokens
    before = predecessors.find(requests)
    every = np.arange(calls.height)
    ends = np.append(tree.blocks_end, 0)
    both = np.minimum(ends[tree.leaf], ends[tree.leaf[before.previous]])
    paths = PromptPaths(requests.stored)
    return Compared(
        rows=requests.rows,
        block_tokens=calls["block_tokens"].fill_null(0).to_numpy().astype(np.int64),
        whole=tokens.whole,
        has_prompt=tree.leaf >= 0,
        previous=before.previous,
        template=before.template,
        parent=before.parent,
        nearest=before.nearest,
        shared=tokens.at(every, before.shared),
        with_previous=tokens.at(every, before.with_previous),
        goes_on=_ends_at(tree.leaf, before.previous, before.with_previous)
        | _ends_at(tree.leaf, before.nearest, before.shared),
        is_deep=(before.previous >= 0) & (2 * ends[before.with_previous] < both),
        last_role=requests.role,
        segments=paths.segments,
    )


def _ends_at(leaf: Nodes, other: Ints, shared: Nodes) -> Bools:
    """Mark the calls of which another one's whole prompt is the part that they share."""
    ends: Bools = (shared >= 0) & (other >= 0) & (leaf[other] == shared)
    return ends
