"""Exact hits of an LRU of N blocks, for every N at once, with vLLM's order of eviction.

A prompt touches its blocks from its tail to its head, so the tail is evicted first (vLLM frees a
request's blocks in reverse order). An ancestor is then always more recent than its descendants: the
blocks that request q touched last are one stretch of its prompt, from some depth to its end, and
the place of a block in the LRU stack is

    place = blocks last touched after q + depth of the block in q's stretch

A block is a hit in every cache of at least `place` blocks. So one pass gives, for each request, a
few stretches of consecutive places, and these give the whole curve (Mattson's stack algorithm on
stretches of a prompt instead of single blocks; a Fenwick tree over requests does the counting).
Prompts are sent one after another; outputs are not inserted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phasewise_analyzer.chains import heads
from phasewise_analyzer.hit_rates import Tokens
from phasewise_analyzer.prefix_tree import PrefixTree

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


def curve(
    tree: PrefixTree, whole: Tokens, block_tokens: Ints, found: Stretches | None = None
) -> Curve:
    """Give the curve of all calls, in order of arrival; `block_tokens` is 0 where text."""
    found = found or stretches(tree)
    # the last block of a hashed prompt may be partial: its tokens are those left of the input
    size = np.append(tree.blocks_end, 0)[tree.leaf]
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


def stretches(tree: PrefixTree) -> Stretches:
    """Find where in the LRU stack each prompt's known blocks are, as stretches."""
    parent, end_of, leaves = tree.parent.tolist(), tree.blocks_end.tolist(), tree.leaf.tolist()
    head_of = heads(tree)
    held = _Held(len(leaves))
    # per chain, from deep to shallow: (blocks down to here, request that touched them last)
    touched: dict[int, list[tuple[int, int]]] = {}
    rows: list[tuple[int, int, int, int, int]] = []
    for request, leaf in enumerate(leaves):
        deepest: dict[int, int] = {}
        node = leaf
        end = end_of[leaf] if leaf >= 0 else 0
        while node >= 0:
            head = head_of[node]
            node = parent[head]
            start = end_of[node] if node >= 0 else 0
            if start < end:
                _touch(touched.setdefault(head, []), start, end, request, deepest)
            end = start
        rows.extend(
            (request, held.start[before], depth, held.after(before), before)
            for before, depth in deepest.items()
        )
        for before, depth in deepest.items():
            held.lose(before, depth)
        if leaf >= 0:
            held.take(request, end_of[leaf])
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return Stretches(*columns)


def _touch(
    stack: list[tuple[int, int]], start: int, end: int, request: int, deepest: dict[int, int]
) -> None:
    """Touch a chain's blocks from start to end; note how deep each earlier toucher's reach goes."""
    while stack and stack[-1][0] <= end:
        start, before = stack.pop()
        deepest[before] = max(deepest.get(before, 0), start)
    if stack and start < end:
        before = stack[-1][1]
        deepest[before] = max(deepest.get(before, 0), end)
    stack.append((end, request))


class _Held:
    """How many blocks each request was the last to touch; a Fenwick tree over the requests."""

    def __init__(self, requests: int) -> None:
        self.start = [0] * requests
        """per request, where the stretch that it was the last to touch begins"""
        self._sums = [0] * (requests + 1)
        self._all = 0

    def after(self, request: int) -> int:
        """Count the blocks that were last touched after this request."""
        place = request + 1
        before = 0
        while place:
            before += self._sums[place]
            place &= place - 1
        return self._all - before

    def take(self, request: int, blocks: int) -> None:
        """Let a request be the last to touch so many blocks."""
        self._add(request, blocks)

    def lose(self, request: int, depth: int) -> None:
        """Let another request touch this one's stretch down to a depth."""
        self._add(request, self.start[request] - depth)
        self.start[request] = depth

    def _add(self, request: int, blocks: int) -> None:
        self._all += blocks
        place = request + 1
        while place < len(self._sums):
            self._sums[place] += blocks
            place += place & -place


def ladder(unique_blocks: int, steps: int = 8) -> Sequence[int]:
    """Give round capacities (1, 2, 5, 10 …) up to the first that never evicts."""
    rungs = [1]
    while rungs[-1] < unique_blocks:
        rungs.append(rungs[-1] * 5 // 2 if str(rungs[-1]).startswith("2") else rungs[-1] * 2)
    return rungs[-steps:]
