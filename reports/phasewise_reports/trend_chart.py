"""The geometry of a measure over nights, in SVG units; a template draws it.  Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from phasewise_reports.charts import Tick

FEWEST = 2
"""nights that make a trend"""
DATES = 5
"""at most so many dates below"""


@dataclass(frozen=True, slots=True)
class Point:
    """A measure in one night."""

    moment: str
    """the night's date"""
    value: float
    title: str
    bad: bool
    """whether it got worse than its gate allows"""


@dataclass(frozen=True, slots=True)
class Placed:
    """A point, where it is drawn."""

    x: float
    y: float
    title: str
    bad: bool


@dataclass(frozen=True, slots=True)
class Trend:
    """A line over nights, from zero up."""

    label: str
    line: str
    points: tuple[Placed, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = 720
    height: int = 180
    left: int = 64
    right: int = 672
    top: int = 12
    bottom: int = 150


def trend(points: Sequence[Point], *, label: str, unit: str) -> Trend | None:
    """Place the points, the oldest first; None with fewer than two."""
    if len(points) < FEWEST:
        return None
    frame = Trend(label, "", (), (), ())
    step = _step(max(point.value for point in points))
    ceiling = max(1, math.ceil(max(point.value for point in points) / step - 1e-9)) * step

    def across(place: int) -> float:
        share = place / (len(points) - 1)
        return round(frame.left + share * (frame.right - frame.left), 1)

    def up(value: float) -> float:
        return round(frame.bottom - value / ceiling * (frame.bottom - frame.top), 1)

    placed = tuple(
        Placed(across(place), up(point.value), point.title, point.bad)
        for place, point in enumerate(points)
    )
    apart = math.ceil(len(points) / DATES)
    return Trend(
        label,
        "M" + " L".join(f"{point.x},{point.y}" for point in placed),
        placed,
        tuple(Tick(across(place), points[place].moment) for place in range(0, len(points), apart)),
        tuple(
            Tick(up(row * step), f"{row * step:g} {unit}".strip())
            for row in range(round(ceiling / step) + 1)
        ),
    )


def _step(most: float) -> float:
    """Return a round distance between lines, so that there are three to six."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most / 3))
    return next(power * one for one in (1, 2, 5, 10) if most / (power * one) <= 5)
