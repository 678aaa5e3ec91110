"""The prompts of one data set as a prefix tree that grows with every new call.

It is the tree of `prefix_tree`, a prompt at a time: where a new text begins like one that stands at
its place, a node is put where the two part. Who keeps something by node is told of these forks:
whoever passed the node below one has passed it, too.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import polars as pl
from phasewise_store import reads
from phasewise_store.store import Store
from phasewise_store.trie import ROOT

from phasewise_analyzer.prefixes.prefix_tree import TEXT_BLOCK_TOKENS
from phasewise_analyzer.prefixes.sibling_texts import Siblings, Texts

MOST_SIBLINGS = 1_000
"""that are compared with after there were too many: the latest"""
MOST_REMEMBERED = 20_000
"""at one place, before only the latest are remembered again"""
BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Fork:
    """A node that was put between two others, or that comes to be known as what another one was."""

    new: int
    below: int
    """the node whose passers have passed the new one"""
    start_tokens: int
    """where the new node starts, in estimated tokens from the root"""
    end_tokens: int


@dataclass(frozen=True, slots=True)
class Grown:
    """What a prompt added to the tree."""

    leaf: int
    forks: tuple[Fork, ...]
    nodes: tuple[int, ...]
    """new nodes of whole segments, front first"""


class LiveTree:
    """Prefixes by number, from 0; -1 is the root."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._texts = Texts(store)
        self._place: dict[int, int] = {}
        """by stored node"""
        self._waiting: dict[int, tuple[int, int, int, int]] = {}
        """stored nodes that no call has passed yet: parent, segment, depth, tokens"""
        self._kinds: dict[int, tuple[str, str | None]] = {}
        """of the waiting segments: kind and role"""
        self._children: dict[int, dict[int, int]] = {}
        """by place of the stored parent: the texts behind it, by segment"""
        self._siblings: dict[int, Siblings] = {}
        self.parent: array[int] = array("q")
        self.segment: array[int] = array("Q")
        self.tokens_end: array[int] = array("q")
        self.blocks_end: array[int] = array("q")
        self.whole: list[bool] = []
        """whether a segment ends there"""
        self.kind: list[str] = []
        self.role: list[str] = []

    def expect(self, nodes: pl.DataFrame) -> None:
        """Have stored nodes at hand for the calls that come: columns of `reads.nodes_after`."""
        self._waiting = {row[0]: row[1:] for row in nodes.iter_rows()}
        self._kinds = {}

    def read_ahead(self, leaves: Iterable[int]) -> None:
        """Read at once the texts that the prompts ending at these nodes will be compared by."""
        fresh: dict[int, list[int]] = {}
        seen: set[int] = set()
        for leaf in leaves:
            here = leaf
            while here in self._waiting and here not in seen:
                seen.add(here)
                above, segment, _, _ = self._waiting[here]
                fresh.setdefault(above, []).append(segment)
                here = above
        self._learn(segment for segments in fresh.values() for segment in segments)
        self._texts.read(
            segment
            for above, segments in fresh.items()
            if len(segments) > 1 or self._place.get(above, -1) in self._children
            for segment in segments
            if self._kinds[segment][0] != BLOCK
        )

    def grow(self, number: int) -> Grown:
        """Take in the prompt that ends at a stored node."""
        fresh: list[int] = []
        here = number
        while here != ROOT and here not in self._place:
            if here not in self._waiting:
                self._fetch(here)
            above, segment, _, _ = self._waiting[here]
            if segment not in self._kinds:
                self._learn([segment])
            fresh.append(here)
            here = above
        forks: list[Fork] = []
        nodes = [self._add(one, forks) for one in reversed(fresh)]
        return Grown(self._place[number], tuple(forks), tuple(nodes))

    def path(self, leaf: int) -> list[int]:
        """Return the nodes on the way to a node, front first."""
        found = []
        parent = self.parent
        while leaf >= 0:
            found.append(leaf)
            leaf = parent[leaf]
        return found[::-1]

    def segments(self, leaf: int) -> list[int]:
        """Return the segments of the prompt that ends at a node."""
        return [self.segment[node] for node in self.path(leaf) if self.whole[node]]

    def above(self, node: int) -> int:
        """Return the place where the segment before a node's ends, -1 at the root."""
        node = self.parent[node]
        while node >= 0 and not self.whole[node]:
            node = self.parent[node]
        return node

    def _fetch(self, number: int) -> None:
        """Read a prompt that another data set had sent before."""
        rows = reads.nodes_above(self._store, number)
        self._waiting |= {row[0]: row[1:] for row in rows.iter_rows()}
        self._learn(rows["segment_id"].to_list())

    def _learn(self, segments: Iterable[int]) -> None:
        self._kinds |= reads.segment_kinds(
            self._store, (one for one in segments if one not in self._kinds)
        )

    def _add(self, number: int, forks: list[Fork]) -> int:
        stored_parent, segment, depth, tokens_end = self._waiting.pop(number)
        kind, role = self._kinds[segment]
        above = -1 if stored_parent == ROOT else self._place[stored_parent]
        parent, blocks = above, depth
        if kind != BLOCK:
            parent, blocks = self._beside(above, segment, forks), tokens_end // TEXT_BLOCK_TOKENS
        here = self._append(parent, segment, tokens_end, blocks, kind=kind, role=role or kind)
        self._place[number] = here
        if kind != BLOCK:
            self._children.setdefault(above, {})[segment] = here
            if above in self._siblings:
                self._siblings[above].add(segment)
        return here

    def _append(
        self, parent: int, segment: int, tokens_end: int, blocks_end: int, *, kind: str, role: str
    ) -> int:
        self.parent.append(parent)
        self.segment.append(segment)
        self.tokens_end.append(tokens_end)
        self.blocks_end.append(blocks_end)
        self.whole.append(True)
        self.kind.append(kind)
        self.role.append(role)
        return len(self.parent) - 1

    def _beside(self, above: int, segment: int, forks: list[Fork]) -> int:
        """Give the node that a new text stands under: its parent, or where it parts from others."""
        there = self._children.get(above)
        if not there:
            return above
        known = self._siblings.get(above)
        if known is None or len(known) > MOST_REMEMBERED:
            latest = islice(there, max(0, len(there) - MOST_SIBLINGS), None)
            known = self._siblings[above] = Siblings(self._texts, latest)
        shared, other = known.nearest(segment)
        if not shared:
            return above
        start = self.tokens_end[above] if above >= 0 else 0
        return self._fork(above, there[other], start + shared, forks)

    def _fork(self, above: int, below: int, tokens_end: int, forks: list[Fork]) -> int:
        """Return the node so many tokens from the root on the way to one below; put it there."""
        parent = self.parent[below]
        while parent != above and self.tokens_end[parent] > tokens_end:
            below, parent = parent, self.parent[parent]
        if parent != above and self.tokens_end[parent] == tokens_end:
            return parent
        here = self._append(
            parent,
            self.segment[below],
            tokens_end,
            tokens_end // TEXT_BLOCK_TOKENS,
            kind=self.kind[below],
            role=self.role[below],
        )
        self.whole[here] = False
        self.parent[below] = here
        start = self.tokens_end[parent] if parent >= 0 else 0
        forks.append(Fork(here, below, start, tokens_end))
        return here
