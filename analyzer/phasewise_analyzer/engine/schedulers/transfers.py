"""Copies of KV blocks to an engine over a link: one after another, beside the engine's steps.

A copy begins with the step that it was planned with: after the steps that were planned before.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from phasewise_analyzer.engine.schedulers.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Link:
    """What KV blocks travel over, in one direction."""

    bytes_s: float
    latency_s: float
    """from the start of a copy to its first byte"""

    def seconds(self, size_bytes: float) -> float:
        """Return how long a copy takes."""
        return self.latency_s + size_bytes / self.bytes_s


class Transfers:
    """The copies to one rank of an engine."""

    def __init__(self, link: Link) -> None:
        self.now_s = 0.0
        """the engine's clock when it plans"""
        self._link = link
        self.told: Callable[[Sequence, float], None] | None = None
        """learns of each copy that begins, with the time at which it will end"""
        self._asked: deque[tuple[Sequence, float]] = deque()
        """copies of the step that is being planned, with their bytes"""
        self._ends: dict[Sequence, float] = {}
        self._free_s = 0.0

    def ask(self, sequence: Sequence, size_bytes: float) -> None:
        """Plan a copy with the next step."""
        self._asked.append((sequence, size_bytes))

    @property
    def asked(self) -> bool:
        """Whether copies were planned and have no time yet."""
        return bool(self._asked)

    def start(self, at_s: float) -> None:
        """Begin what was planned, where the link is free by then."""
        while self._asked:
            sequence, size_bytes = self._asked.popleft()
            self._free_s = max(at_s, self._free_s) + self._link.seconds(size_bytes)
            self._ends[sequence] = self._free_s
            if self.told is not None:
                self.told(sequence, self._free_s)

    def note(self, sequence: Sequence, end_s: float) -> None:
        """Note a copy that others make, and when it ends."""
        self._ends[sequence] = end_s

    def arrived(self, sequence: Sequence) -> bool:
        """Tell whether a copy has ended by now."""
        return self._ends.get(sequence, math.inf) <= self.now_s

    def forget(self, sequence: Sequence) -> None:
        """Drop a copy that has ended and was used."""
        del self._ends[sequence]

    def next_s(self, after_s: float) -> float:
        """Return when the next copy ends after a time; infinite where none does."""
        return min((end for end in self._ends.values() if end > after_s), default=math.inf)
