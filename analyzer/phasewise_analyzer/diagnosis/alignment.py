"""Find what two histories have in common after the place where they diverge."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from phasewise_analyzer.diagnosis.parts import Part


@dataclass(frozen=True, slots=True)
class Alignment:
    """Two stretches, each from the place to the end, and what stands in both in one order."""

    old: tuple[Part, ...]
    new: tuple[Part, ...]
    kept: tuple[tuple[int, int], ...]
    """places of the same segment in `old` and in `new`, both growing"""
    common: int
    """segments in both, whatever their order"""

    @property
    def dropped(self) -> int:
        """How many of the old ones are nowhere in the new."""
        return len(self.old) - self.common

    @property
    def first_gap(self) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """What stands on either side before the first segment that is kept."""
        old, new = self.kept[0] if self.kept else (len(self.old), len(self.new))
        return self.old[:old], self.new[:new]


def align(old: Sequence[Part], new: Sequence[Part]) -> Alignment:
    """Keep as many segments as possible in order: the longest rising run of their new places.

    A segment that occurs several times is paired by its turn.
    """
    places: defaultdict[bytes, list[int]] = defaultdict(list)
    for place, part in enumerate(new):
        places[part.key].append(place)
    turns: Counter[bytes] = Counter()
    pairs = []
    for place, part in enumerate(old):
        found = places.get(part.key, [])
        turn = turns[part.key]
        if turn < len(found):
            pairs.append((place, found[turn]))
            turns[part.key] += 1
    return Alignment(tuple(old), tuple(new), _rising(pairs), len(pairs))


def _rising(pairs: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the longest subsequence whose second members rise, by patience sorting."""
    ends: list[int] = []
    at_end: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place)
        before.append(at_end[length - 1] if length else -1)
        if length == len(ends):
            ends.append(place)
            at_end.append(number)
        else:
            ends[length] = place
            at_end[length] = number
    run = []
    number = at_end[-1] if at_end else -1
    while number >= 0:
        run.append(pairs[number])
        number = before[number]
    return tuple(reversed(run))
