"""The prompts of a data set as chains that grow with each prompt, in text as in hashed blocks.

A chain is what one prompt was the first to send, and what later ones added at its end. It leaves
another chain at some depth, which in text may lie inside a message. Depths are in units: tokens of
the text's estimate, or blocks where a prompt is known by hashes. `growing_reuse` uses it.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import pairwise

from phasewise_analyzer.prefixes.sibling_texts import Siblings, Texts

Part = tuple[int, int, int]
"""number of a chain, unit at which the prompt enters it, unit at which it leaves it"""

ROOT_CHAIN = -1


@dataclass(frozen=True, slots=True)
class Node:
    """One stored node of a prompt."""

    number: int
    parent: int
    segment: int
    end: int
    """units from the root, this node included"""


class PromptChains:
    """Takes one prompt after another; says what earlier ones had sent."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._place: dict[int, tuple[int, int]] = {}
        """by number of a node: its chain, and the units down to its end"""
        self._above: list[int] = []
        self._start: list[int] = []
        self._end: list[int] = []
        self._siblings: dict[int, tuple[Siblings, dict[int, int]]] = {}
        """by number of the parent: texts that follow it, and the chain in which each lies"""
        self._first: dict[int, tuple[int, int]] = {}
        """by number of the parent: the first text that follows it, and its chain"""
        self._marks: dict[tuple[Hashable, int], int] = {}
        """how far the prompts of a group go down a chain"""

    def knows(self, node: int) -> bool:
        """Say whether an earlier prompt passed this node."""
        return node in self._place

    def add(self, known: int, new: list[Node], *, is_text: bool) -> tuple[list[Part], int]:
        """Take in a prompt; give its parts from the deepest on, and the units sent before.

        `known` is the deepest node that an earlier prompt passed (0: none), `new` are those behind
        it, downwards.
        """
        chain, units = self._place.get(known, (ROOT_CHAIN, 0))
        if new:
            if is_text:
                chain, units = self._inside(known, new[0], chain, units)
            branch = units
            end = new[-1].end
            if chain == ROOT_CHAIN or self._end[chain] != units:
                self._above.append(chain)
                self._start.append(units)
                self._end.append(end)
                chain = len(self._above) - 1
            else:
                self._end[chain] = end
            if is_text:
                self._follow(known, new, chain)
            for node in new:
                self._place[node.number] = chain, node.end
            return self._parts(chain, end), branch
        return self._parts(chain, units), units

    def shared(self, group: Hashable, parts: list[Part]) -> int:
        """Give the units of a prompt that the group had sent before; they are its own now."""
        marks, found = self._marks, 0
        for chain, start, end in parts:
            mark = marks.get((group, chain), 0)
            if not found and mark > start:
                found = min(mark, end)
            if end > mark:
                marks[group, chain] = end
        return found

    def _parts(self, chain: int, end: int) -> list[Part]:
        parts: list[Part] = []
        while chain != ROOT_CHAIN:
            start = self._start[chain]
            if start < end:
                parts.append((chain, start, end))
                end = start
            chain = self._above[chain]
        return parts

    def _inside(self, parent: int, node: Node, chain: int, units: int) -> tuple[int, int]:
        """Give where a text leaves the texts beside it: the chain, and the units down to there."""
        if parent not in self._first:
            return chain, units
        if parent not in self._siblings:
            segment, of = self._first[parent]
            self._siblings[parent] = Siblings(self._texts, [segment]), {segment: of}
        siblings, chains = self._siblings[parent]
        tokens, beside = siblings.nearest(node.segment)
        if not tokens:
            return chain, units
        chain, units = chains[beside], units + tokens
        while self._start[chain] >= units:
            chain = self._above[chain]
        return chain, units

    def _follow(self, known: int, new: list[Node], chain: int) -> None:
        """Remember the texts that stand behind each node, for those that come to stand beside."""
        first = new[0]
        if known not in self._first:
            self._first[known] = first.segment, chain
        elif known in self._siblings:
            siblings, chains = self._siblings[known]
            siblings.add(first.segment)
            chains[first.segment] = chain
        for above, node in pairwise(new):
            self._first[above.number] = node.segment, chain
