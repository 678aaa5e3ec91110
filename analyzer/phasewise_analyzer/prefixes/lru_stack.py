"""The LRU stack of prompts that are touched one after another, in stretches instead of blocks.

A prompt touches its blocks from its tail to its head, so the tail is evicted first (vLLM frees a
request's blocks in reverse order). An ancestor is then always more recent than its descendants: the
blocks that request q touched last are one stretch of its prompt, from some depth to its end, and
the place of a block in the LRU stack is

    place = blocks last touched after q + depth of the block in q's stretch

This is Mattson's stack algorithm on stretches; a Fenwick tree over requests does the counting. A
prompt is given as parts of chains: a chain is any downward path of the trie that has a number, and
two prompts that share blocks share them in the same chains.
"""

from collections.abc import Iterable

Part = tuple[int, int, int]
"""number of a chain, depth at which the prompt enters it, depth at which it leaves it (blocks)"""
Touched = tuple[int, int, int, int]
"""first depth, depth behind the last, place of the first less one, request that was there last"""


class LruStack:
    """Takes one prompt after another; says where in the stack its blocks had been."""

    def __init__(self) -> None:
        # per chain, from deep to shallow: (blocks down to here, request that touched them last)
        self._touched: dict[int, list[tuple[int, int]]] = {}
        self._start: list[int] = []
        """per request, where the stretch that it was the last to touch begins"""
        self._sums = [0]
        self._all = 0

    def touch(self, parts: Iterable[Part], blocks: int) -> list[Touched]:
        """Touch a prompt of so many blocks, its parts from deep to shallow."""
        request = len(self._start)
        self._append()
        deepest: dict[int, int] = {}
        touched = self._touched
        for chain, start, end in parts:
            stack = touched.get(chain)
            if stack is None:
                touched[chain] = [(end, request)]
                continue
            depth = start
            while stack and stack[-1][0] <= end:
                depth, before = stack.pop()
                if depth > deepest.get(before, 0):
                    deepest[before] = depth
            if stack and depth < end:
                before = stack[-1][1]
                if end > deepest.get(before, 0):
                    deepest[before] = end
            stack.append((end, request))
        starts = self._start
        found = [
            (starts[before], depth, self._after(before), before)
            for before, depth in deepest.items()
        ]
        for before, depth in deepest.items():
            self._add(before, starts[before] - depth)
            starts[before] = depth
        self._add(request, blocks)
        return found

    def _append(self) -> None:
        """Add a request to the tree: its node is the sum of those it covers."""
        self._start.append(0)
        place = len(self._sums)
        covered = place & -place
        total = 0
        child = 1
        while child < covered:
            total += self._sums[place - child]
            child <<= 1
        self._sums.append(total)

    def _after(self, request: int) -> int:
        """Count the blocks that were last touched after this request."""
        place = request + 1
        before = 0
        while place:
            before += self._sums[place]
            place &= place - 1
        return self._all - before

    def _add(self, request: int, blocks: int) -> None:
        self._all += blocks
        place = request + 1
        while place < len(self._sums):
            self._sums[place] += blocks
            place += place & -place
