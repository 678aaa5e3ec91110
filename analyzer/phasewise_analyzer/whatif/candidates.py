"""Positions for a breakpoint, by class: what a client can express in its code.

A placement is a set of classes in prompt order, with the number of leading ones that have the
longer lifetime: providers require longer lifetimes first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from phasewise_analyzer.caches.prompt_cache import TIERS, Asked, Marker

TOOLS_END = "end of tools"
SYSTEM_END = "end of system"
EVERY = 15
"""segments: below the 20 that Anthropic looks back"""
STRIDE = f"every {EVERY} segments"
PREVIOUS = "previous prompt's end"
LAST = "last segment"
CLASSES = (TOOLS_END, SYSTEM_END, STRIDE, PREVIOUS, LAST)

Marks = tuple[tuple[str, str], ...]
"""class and lifetime of each breakpoint"""


@dataclass(frozen=True, slots=True)
class Spots:
    """A call, and where each class of place is in it; absent where there is none."""

    asked: Asked
    place: Mapping[str, int]

    def marked(self, marks: Marks) -> tuple[Marker, ...]:
        """Return the markers of a placement; of several on one segment the first holds."""
        found: dict[int, str] = {}
        for name, lifetime in marks:
            if name in self.place:
                found.setdefault(self.place[name], lifetime)
        return tuple(Marker(place, found[place]) for place in sorted(found))


def spots(asked: Asked, previous: Asked | None) -> Spots:
    """Find the places of a call; `previous` is the call before it in its stream."""
    whole = [place for place, ends in enumerate(asked.whole) if ends]
    found: dict[str, int] = {}
    for tier, name in ((0, TOOLS_END), (1, SYSTEM_END)):
        of_tier = [place for place in whole if asked.tiers[place] == tier]
        if of_tier:
            found[name] = of_tier[-1]
    messages = [place for place in whole if TIERS[asked.tiers[place]] == "messages"]
    if len(messages) >= EVERY:
        found[STRIDE] = messages[len(messages) // EVERY * EVERY - 1]
    if previous is not None and previous.path:
        end = previous.path[-1]
        at = next((place for place in reversed(whole) if asked.path[place] == end), None)
        if at is not None:
            found[PREVIOUS] = at
    if whole:
        found[LAST] = whole[-1]
    return Spots(asked, found)


def placements(classes: Sequence[str], lifetimes: Sequence[str], most: int) -> Iterator[Marks]:
    """Return every placement of none to so many breakpoints; `lifetimes` come longest first."""
    for size in range(min(most, len(classes)) + 1):
        for chosen in combinations(classes, size):
            for lives in _falling(lifetimes, size):
                yield tuple(zip(chosen, lives, strict=True))


def _falling(lifetimes: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """Return the sequences in which no lifetime is followed by a longer one."""
    if size == 0:
        yield ()
        return
    for place, first in enumerate(lifetimes):
        for rest in _falling(lifetimes[place:], size - 1):
            yield (first, *rest)
