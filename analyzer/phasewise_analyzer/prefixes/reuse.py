"""Find what prompts share with earlier ones: reuse, groups, and what an LRU would hold.

`phasewise prefixes` and its page show the result.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from phasewise_store import reads
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer import groups
from phasewise_analyzer.findings import Group, Prefixes, Reuse
from phasewise_analyzer.groups import By
from phasewise_analyzer.prefixes import hit_rates, lru, prefix_tree, shared_prefixes, ttl
from phasewise_analyzer.prefixes.hit_rates import Tokens


def find(
    store: Store,
    scope: Scope = EVERYTHING,
    *,
    capacities: Sequence[int] = (),
    ttls_s: Sequence[float] = ttl.LADDER_S,
    by: By | None = None,
) -> Prefixes:
    """Give the reuse of all calls in scope, and what caches of many sizes would serve.

    `capacities` are in blocks, a ladder by default; `ttls_s` are lifetimes in seconds. A group is
    compared with its own earlier calls only.
    """
    calls = reads.llm_calls(store, scope)
    tree = prefix_tree.read(store, scope)
    found = _Calls(calls, tree)
    stretches = lru.stretches(tree)
    curve = lru.curve(stretches, found.size, found.whole, found.block_tokens)
    lifetimes = ttl.curve(stretches, found.whole, found.block_tokens, calls["started_ns"].to_list())
    return Prefixes(
        calls=calls.height,
        input_tokens=int(calls["input_tokens"].sum()),
        output_tokens=int(calls["output_tokens"].sum()),
        reuse=found.reuse(),
        block_tokens=int(found.block_tokens.max(initial=0)) or prefix_tree.TEXT_BLOCK_TOKENS,
        lru=tuple(map(curve.row, capacities or lru.ladder(curve.unique_blocks))),
        ttl=() if lifetimes is None else tuple(map(lifetimes.row, (*ttls_s, ttl.FOREVER_S))),
        groups=() if by is None else found.groups(*groups.numbered(store, calls, by)),
    )


class _Calls:
    """The calls in scope with the sizes of their prompts."""

    def __init__(self, calls: pl.DataFrame, tree: prefix_tree.PrefixTree) -> None:
        self.calls = calls
        self.tree = tree
        self.block_tokens = calls["block_tokens"].fill_null(0).to_numpy().astype(np.int64)
        input_tokens = calls["input_tokens"].to_numpy().astype(np.int64)
        self.size = np.append(tree.blocks_end, 0)[tree.leaf]
        self.whole = hit_rates.prompts(tree, input_tokens, self.block_tokens)
        self.previous = self._shared(
            shared_prefixes.previous_call(tree, calls["agent_id"].to_list())
        )

    def reuse(self) -> Reuse:
        """Give the reuse over all calls."""
        any_earlier = self._shared(shared_prefixes.any_earlier(self.tree))
        return Reuse(
            hit_rates.rates(self.whole, any_earlier), hit_rates.rates(self.whole, self.previous)
        )

    def groups(self, group: npt.NDArray[np.int64], keys: Sequence[str]) -> tuple[Group, ...]:
        """Give the reuse inside each group, in the order of their first calls."""
        any_earlier = self._shared(shared_prefixes.any_earlier(self.tree, group))
        input_tokens = self.calls["input_tokens"].to_numpy()
        order = np.argsort(group, kind="stable")
        ends = np.searchsorted(group[order], np.arange(len(keys) + 1))
        return tuple(
            Group(
                key,
                len(rows),
                int(input_tokens[rows].sum()),
                Reuse(
                    hit_rates.rates(self.whole.at(rows), any_earlier.at(rows)),
                    hit_rates.rates(self.whole.at(rows), self.previous.at(rows)),
                ),
            )
            for number, key in enumerate(keys)
            if len(rows := order[ends[number] : ends[number + 1]])
        )

    def _shared(self, node: np.ndarray[tuple[int], np.dtype[np.int32]]) -> Tokens:
        return hit_rates.shared(self.tree, self.whole, self.block_tokens, node)
