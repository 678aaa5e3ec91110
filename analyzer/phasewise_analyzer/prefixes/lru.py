"""Exact hits of an LRU of N blocks, for every N at once, with vLLM's order of eviction.

A block is a hit in every cache of at least `place` blocks, its place in the LRU stack
(`lru_stack`). So one pass gives, for each request, a few stretches of consecutive places, and these
give the whole curve.
Prompts are sent one after another; outputs are not inserted.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phasewise_analyzer.prefixes.chains import heads
from phasewise_analyzer.prefixes.hit_rates import Tokens
from phasewise_analyzer.prefixes.lru_stack import LruStack, Part
from phasewise_analyzer.prefixes.prefix_tree import PrefixTree

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LruRow:
    """What a cache of this capacity would have held."""

    capacity_blocks: int
    hit_blocks: int
    total_blocks: int
    block_weighted: float
    token_weighted: float


@dataclass(frozen=True, slots=True)
class Stretches:
    """Blocks `from_block` to `to_block` (exclusive) of a call's prompt, at places above `place`."""

    call: Ints
    from_block: Ints
    to_block: Ints
    place: Ints
    """the first of the blocks is at place + 1 of the LRU stack, the next at place + 2 …"""
    before: Ints
    """the call that touched them last"""

    def slice(self, start: int, end: int, first_call: int) -> "Stretches":
        """Give some of the stretches; calls are counted from `first_call` on, `before` stays."""
        some = slice(start, end)
        columns = (self.from_block, self.to_block, self.place, self.before)
        return Stretches(self.call[some] - first_call, *(one[some] for one in columns))


@dataclass(frozen=True, slots=True)
class Curve:
    """Hits against capacity, for every capacity."""

    low: Ints
    """[stretches] the first block is a hit in more than so many blocks"""
    high: Ints
    """[stretches] the last block is a hit in so many blocks"""
    tokens_a_block: Floats
    """[stretches]"""
    total_blocks: int
    total_tokens: int
    unique_blocks: int
    """a cache of so many blocks never evicts"""

    def row(self, capacity_blocks: int) -> LruRow:
        """Read the curve at one capacity."""
        hits = np.clip(capacity_blocks - self.low, 0, self.high - self.low)
        blocks = int(hits.sum())
        tokens = float((hits * self.tokens_a_block).sum())
        return LruRow(
            capacity_blocks,
            blocks,
            self.total_blocks,
            blocks / self.total_blocks if self.total_blocks else 0.0,
            min(tokens / self.total_tokens, 1.0) if self.total_tokens else 0.0,
        )


def curve(found: Stretches, size: Ints, whole: Tokens, block_tokens: Ints) -> Curve:
    """Give the curve of all calls, in order of arrival.

    `size` is the whole blocks of each prompt, `whole` its tokens, `block_tokens` is 0 where text.
    """
    # the last block of a hashed prompt may be partial: its tokens are those left of the input
    hashed = block_tokens > 0
    last = np.where(hashed, whole.tokens - (size - 1) * block_tokens, 0)
    full = np.where(hashed, block_tokens, whole.tokens / np.maximum(whole.blocks, 1e-9))
    ends = hashed[found.call] & (found.to_block == size[found.call])
    length = found.to_block - found.from_block
    low = np.concatenate((found.place, (found.place + length - 1)[ends]))
    high = np.concatenate((found.place + length - ends, (found.place + length)[ends]))
    tokens = np.concatenate((full[found.call], np.clip(last, 0, full)[found.call][ends]))
    return Curve(
        low,
        high,
        tokens.astype(np.float64),
        total_blocks=int(np.ceil(whole.blocks.sum())),
        total_tokens=int(whole.tokens.sum()),
        unique_blocks=int(size.sum() - length.sum()),
    )


def stretches(tree: PrefixTree, chains: Sequence[int] | None = None) -> Stretches:
    """Find where in the LRU stack each prompt's known blocks are, as stretches.

    `chains` are the heads of a tree of more calls, where they are at hand: any do.
    """
    parent, end_of, leaves = tree.parent.tolist(), tree.blocks_end.tolist(), tree.leaf.tolist()
    head_of = heads(tree) if chains is None else chains
    stack = LruStack()
    rows = array("q")
    for request, leaf in enumerate(leaves):
        parts: list[Part] = []
        node = leaf
        end = end_of[leaf] if leaf >= 0 else 0
        whole = end
        while node >= 0:
            head = head_of[node]
            node = parent[head]
            start = end_of[node] if node >= 0 else 0
            if start < end:
                parts.append((head, start, end))
            end = start
        for touched in stack.touch(parts, whole):
            rows.extend((request, *touched))
    return of_rows(rows)


def of_rows(rows: "array[int]") -> Stretches:
    """Make the columns of rows of five: the request, then what `LruStack.touch` gives."""
    return Stretches(*np.array(rows, dtype=np.int64).reshape(-1, 5).T)


def ladder(unique_blocks: int, steps: int = 8) -> Sequence[int]:
    """Give round capacities (1, 2, 5, 10 …) up to the first that never evicts."""
    rungs = [1]
    while rungs[-1] < unique_blocks:
        rungs.append(rungs[-1] * 5 // 2 if str(rungs[-1]).startswith("2") else rungs[-1] * 2)
    return rungs[-steps:]
