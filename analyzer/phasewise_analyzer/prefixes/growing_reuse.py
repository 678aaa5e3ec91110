"""The reuse of a data set that grows: rows of new calls, from memory of the prompts before.

The process that makes what takes long keeps one for live calls (`kept_reuse` for all others). The
rows are those that `reuse.of_source` makes of all calls.
"""

from array import array
from collections.abc import Hashable, Iterator
from typing import cast

import numpy as np
import polars as pl
from phasewise_store import reads, reuse_rows
from phasewise_store.scope import Scope
from phasewise_store.store import Store
from phasewise_store.trie import ROOT

from phasewise_analyzer.prefixes import call_reuse, hit_rates, lru, ttl
from phasewise_analyzer.prefixes.call_reuse import YARDSTICKS, Prompts, Yardstick
from phasewise_analyzer.prefixes.hit_rates import Tokens
from phasewise_analyzer.prefixes.lru_stack import LruStack
from phasewise_analyzer.prefixes.prefix_tree import TEXT_BLOCK_TOKENS
from phasewise_analyzer.prefixes.prompt_chains import Node, Part, PromptChains
from phasewise_analyzer.prefixes.sibling_texts import Texts

CALLS_AT_ONCE = 2_000
"""whose rows are written in one transaction"""

Stored = tuple[int, int, int, int]
"""parent, segment, depth, tokens from the root"""


class GrowingReuse:
    """What the calls of one data set had sent by now."""

    def __init__(self, store: Store, source: str) -> None:
        self._store = store
        self._source = source
        self._chains = PromptChains(Texts(store))
        self._stack = LruStack()
        self._starts = array("q")
        """by call, -1 where no start is known"""
        self._last_parts: dict[str, list[Part]] = {}
        """by agent instance, of its last known prompt"""
        self._last = -1
        self._newest = reads.newest_node(store)
        self._fresh = _of_trie(store, source)

    def grow(self) -> bool:
        """Make the rows of the calls that are new; False where only a fresh start can.

        That is where a call changed, or came late: its prompt then went before those of others.
        """
        with self._store.snapshot():
            missing = reuse_rows.missing(self._store, self._source)
            calls = reuse_rows.calls(self._store, self._source, after=self._last)
            paths = self._store.frame("SELECT source_id, path FROM sources")
            self._read_nodes()
        if missing and missing[0] <= self._last:
            return False
        # what is missing in the middle changed: rows behind it are another prompt's, too
        first = missing[0] if missing else calls["ordinal"].max()
        wanted = calls.filter(pl.col("ordinal") >= first) if missing else calls.clear()
        calls = calls.join(paths, on="source_id", how="left", maintain_order="left")
        for some in calls.iter_slices(CALLS_AT_ONCE):
            rows = self._rows(some)
            self._last = int(some["ordinal"][-1])
            prompts = some.select("ordinal", "leaf_node", "input_tokens")
            rows = prompts.join(rows, on="ordinal", maintain_order="left")
            rows = rows.join(wanted, on="ordinal", how="semi", maintain_order="left")
            if rows.height:
                reuse_rows.add(self._store, rows, some["session_id"].unique().to_list())
        self._fresh.clear()
        return True

    def _read_nodes(self) -> None:
        newest = reads.newest_node(self._store)
        if newest > self._newest:
            self._keep(reads.nodes_after(self._store, self._newest))
            self._newest = newest

    def _keep(self, nodes: pl.DataFrame) -> None:
        for number, *stored in nodes.iter_rows():
            self._fresh[number] = cast("Stored", tuple(stored))

    def _rows(self, calls: pl.DataFrame) -> pl.DataFrame:
        first = len(self._starts)
        touched = array("q")
        sent: dict[Yardstick, list[int]] = {name: [] for name in YARDSTICKS}
        units: list[int] = []
        for place, call in enumerate(calls.iter_rows(named=True)):
            self._starts.append(-1 if call["started_ns"] is None else call["started_ns"])
            is_text = not call["block_tokens"]
            parts, shared = self._take(int(call["leaf_node"]), is_text=is_text)
            units.append(parts[0][2] if parts else 0)
            sent["any"].append(shared)
            sent["previous"].append(self._with_previous(str(call["agent_id"]), parts))
            for name, key in _groups(call):
                sent[name].append(self._chains.shared((name, key), parts))
            blocks = _in_blocks(parts) if is_text else parts
            size = units[-1] // TEXT_BLOCK_TOKENS if is_text else units[-1]
            for found in self._stack.touch(blocks, size):
                touched.extend((place, *found))
        prompts = _prompts(calls, np.array(units, dtype=np.int64))
        stretches = lru.of_rows(touched)
        starts = np.array(self._starts, dtype=np.int64)
        assert len(starts) == first + calls.height
        return call_reuse.rows(
            prompts,
            {name: _shared(prompts, np.array(one, dtype=np.int64)) for name, one in sent.items()},
            stretches,
            starts[stretches.before],
            ttls_s=ttl.LADDER_S,
        )

    def _take(self, leaf: int, *, is_text: bool) -> tuple[list[Part], int]:
        """Take in a prompt; give its parts from the deepest on, and the units sent before."""
        new: list[Node] = []
        here = leaf
        while here != ROOT and not self._chains.knows(here):
            if here not in self._fresh:
                self._keep(reads.nodes_above(self._store, here))
            parent, segment, depth, tokens = self._fresh[here]
            new.append(Node(here, parent, segment, tokens if is_text else depth))
            here = parent
        return self._chains.add(here, new[::-1], is_text=is_text)

    def _with_previous(self, agent_id: str, parts: list[Part]) -> int:
        """Give the units that the agent's last known prompt begins with alike."""
        shared = 0
        for one, other in zip(
            reversed(self._last_parts.get(agent_id, [])), reversed(parts), strict=False
        ):
            if one[0] != other[0]:
                break
            shared = min(one[2], other[2])
            if one[2] != other[2]:
                break
        if parts:
            self._last_parts[agent_id] = parts
        return shared


def _of_trie(store: Store, source: str) -> dict[int, Stored]:
    """Give all nodes that the data set's calls pass."""
    trie = reads.trie(store, Scope(source=source))
    numbers = trie.node.tolist()
    parents = [ROOT if one < 0 else numbers[one] for one in trie.parent.tolist()]
    columns = (parents, trie.segment.tolist(), trie.depth.tolist(), trie.tokens_end.tolist())
    return dict(zip(numbers, zip(*columns, strict=True), strict=True))


def _groups(call: dict[str, object]) -> Iterator[tuple[Yardstick, Hashable]]:
    yield "session", call["session_id"]
    for name in ("agent", "model"):
        yield name, call[name] or "unknown"
    yield "file", call["path"] or "unknown"


def _in_blocks(parts: list[Part]) -> list[Part]:
    """Give the parts in whole blocks of the estimated tokens."""
    size = TEXT_BLOCK_TOKENS
    cut = ((chain, start // size, end // size) for chain, start, end in parts)
    return [part for part in cut if part[1] < part[2]]


def _prompts(calls: pl.DataFrame, units: call_reuse.Ints) -> Prompts:
    block_tokens = calls["block_tokens"].to_numpy().astype(np.int64)
    input_tokens = calls["input_tokens"].to_numpy().astype(np.int64)
    known = calls["leaf_node"].to_numpy() != ROOT
    hashed = block_tokens > 0
    size = np.where(hashed, units, units // TEXT_BLOCK_TOKENS)
    estimate = np.where(hashed, units * block_tokens, units)
    return Prompts(
        calls["ordinal"].to_numpy().astype(np.int64),
        Tokens(
            np.where(known, np.where(input_tokens > 0, input_tokens, estimate), 0),
            np.where(hashed, size, units / TEXT_BLOCK_TOKENS),
        ),
        size,
        np.where(hashed, 0, units),
        block_tokens,
        calls["started_ns"].fill_null(-1).to_numpy().astype(np.int64),
    )


def _shared(prompts: Prompts, units: call_reuse.Ints) -> hit_rates.Tokens:
    """Give tokens and blocks of so many leading units; the same as `hit_rates.shared`."""
    hashed = prompts.block_tokens > 0
    whole = prompts.whole.tokens
    return Tokens(
        np.where(
            hashed,
            np.minimum(units * prompts.block_tokens, whole),
            units * whole // np.maximum(prompts.text, 1),
        ),
        np.where(hashed, units, units // TEXT_BLOCK_TOKENS).astype(np.float64),
    )
