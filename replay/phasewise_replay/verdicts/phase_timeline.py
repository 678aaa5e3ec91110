"""Shares the time of an engine that serves several calls at once between them and their phases.

At every instant some calls prefill and others decode. Where both happen, the engine's steps are
mixed and `Split` says how much of them the prefill is; without one the time stays unshared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Served:
    """When one call was in which phase, and its size."""

    prefill_ns: tuple[int, int]
    """from scheduled to first token"""
    decode_ns: tuple[int, int]
    """from first to last token"""
    new: int
    """prompt tokens computed"""
    cached: int
    context: int
    """tokens of prompt and output"""


class Split(NamedTuple):
    """The prefill's part of a mixed step, from 0 to 1."""

    share: float
    low: float
    """what the prefill adds to the decodes"""
    high: float
    """what is left when the decodes alone are taken away"""


SplitOf = Callable[[Sequence[Served], Sequence[Served]], Split | None]
"""of the calls that prefill and those that decode; None where nothing says"""


@dataclass(slots=True)
class Occupied:
    """The engine's time that one call accounts for, in ns."""

    prefill_ns: float = 0.0
    decode_ns: float = 0.0
    mixed_ns: float = 0.0
    """in mixed steps that nothing shares between the phases"""
    prefill_low_ns: float = 0.0
    prefill_high_ns: float = 0.0

    @property
    def total_ns(self) -> float:
        """All of it."""
        return self.prefill_ns + self.decode_ns + self.mixed_ns


def share(calls: Sequence[Served], split_of: SplitOf) -> list[Occupied]:
    """Return each call's part; they sum to the time in which any call was in a phase."""
    found = [Occupied() for _ in calls]
    bounds = sorted({edge for one in calls for edge in (*one.prefill_ns, *one.decode_ns)})
    starts = sorted(range(len(calls)), key=lambda at: calls[at].prefill_ns[0])
    active: list[int] = []
    upcoming = 0
    for begin, end in pairwise(bounds):
        while upcoming < len(starts) and calls[starts[upcoming]].prefill_ns[0] <= begin:
            active.append(starts[upcoming])
            upcoming += 1
        active = [
            at for at in active if max(calls[at].prefill_ns[1], calls[at].decode_ns[1]) > begin
        ]
        reading = [at for at in active if _within(calls[at].prefill_ns, begin)]
        writing = [at for at in active if _within(calls[at].decode_ns, begin)]
        if reading or writing:
            _share_instant(found, calls, reading, writing, length=end - begin, split_of=split_of)
    return found


def _within(span: tuple[int, int], moment: int) -> bool:
    return span[0] <= moment < span[1]


def _share_instant(
    found: list[Occupied],
    calls: Sequence[Served],
    reading: list[int],
    writing: list[int],
    *,
    length: int,
    split_of: SplitOf,
) -> None:
    """Share a stretch of time in which the same calls are in the same phases."""
    if not writing:
        split: Split | None = Split(1.0, 1.0, 1.0)
    elif not reading:
        split = Split(0.0, 0.0, 0.0)
    else:
        split = split_of([calls[at] for at in reading], [calls[at] for at in writing])
    if split is None:
        for at in (*reading, *writing):
            found[at].mixed_ns += length / (len(reading) + len(writing))
        for at in reading:
            found[at].prefill_high_ns += length / len(reading)
        return
    new = sum(calls[at].new for at in reading)
    for at in reading:
        part = calls[at].new / new if new else 1 / len(reading)
        found[at].prefill_ns += length * split.share * part
        found[at].prefill_low_ns += length * split.low * part
        found[at].prefill_high_ns += length * split.high * part
    for at in writing:
        found[at].decode_ns += length * (1 - split.share) / len(writing)
