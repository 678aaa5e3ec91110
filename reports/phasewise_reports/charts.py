"""Chart geometry in SVG units; templates draw it.  Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from phasewise_replay.verdicts.verdict import Metric


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of a split bar."""

    colour: str
    """c cached, p prefill, u prefill of which nobody says whether it was cached (drawn hatched),
    d decode, o other"""
    share: float


def split(
    *,
    cached: float = 0.0,
    prefill: float = 0.0,
    unreported: float = 0.0,
    decode: float = 0.0,
    other: float = 0.0,
) -> tuple[Part, ...]:
    """Return the parts of a bar as shares of their sum; none when the sum is zero."""
    named = {"c": cached, "p": prefill, "u": unreported, "d": decode, "o": other}
    values = {colour: max(0.0, float(value)) for colour, value in named.items()}
    whole = sum(values.values())
    if not whole:
        return ()
    return tuple(Part(colour, value / whole) for colour, value in values.items())


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a curve."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A share in [0, 1] over a logarithmic axis."""

    label: str
    x_label: str
    line: str
    area: str
    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = 720
    height: int = 260
    left: int = 52
    right: int = 706
    top: int = 12
    bottom: int = 206


def curve(
    points: Sequence[tuple[int, float]], *, label: str, x_label: str, unit: str
) -> Curve | None:
    """Place the points (x above 0, share) of a curve; None with fewer than two."""
    if len(points) < 2:
        return None
    frame = Curve(label, x_label, "", "", (), (), ())
    low, high = (math.log10(points[place][0]) for place in (0, -1))

    def across(value: float) -> float:
        return round(
            frame.left + (math.log10(value) - low) / (high - low) * (frame.right - frame.left), 1
        )

    top = max(0.05, *(share for _, share in points))
    step = next(one for one in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25) if top / one <= 5)
    ceiling = math.ceil(top / step - 1e-9) * step

    def up(share: float) -> float:
        return round(frame.bottom - share / ceiling * (frame.bottom - frame.top), 1)

    dots = tuple(
        Dot(across(x), up(share), f"{x:,} {unit}: {100 * share:.2f} %") for x, share in points
    )
    line = "M" + " L".join(f"{dot.x},{dot.y}" for dot in dots)
    powers = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    ticks = [10**power for power in powers]
    if len(ticks) < 2:
        ticks = [points[0][0], points[-1][0]]
    rows = round(ceiling / step)
    return Curve(
        label,
        x_label,
        line,
        f"{line} L{dots[-1].x},{frame.bottom} L{dots[0].x},{frame.bottom} Z",
        dots,
        tuple(Tick(across(value), _amount(value)) for value in ticks),
        tuple(Tick(up(n * step), f"{100 * n * step:.0f} %") for n in range(rows + 1)),
    )


def _amount(value: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:g} {letter}"
    return str(value)


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of an interval plot."""

    name: str
    title: str
    y: float
    x: float
    low: float | None
    high: float | None
    quiet: bool
    """the control's"""


@dataclass(frozen=True, slots=True)
class IntervalPlot:
    """Relative differences around zero."""

    label: str
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    zero: float
    width: int
    height: int
    left: int


ROW_HEIGHT = 24
WIDTH, LEFT, RIGHT = 860, 330, 836


NAME_CHARACTERS = 46
"""fit between the edge and the first tick"""


def _label(metric: Metric) -> str:
    """Name a row; an arm's name that is too long for the picture is cut in its middle."""
    arm, left = metric.compared, NAME_CHARACTERS - len(metric.title) - 2
    if len(arm) > left:
        arm = f"{arm[: left // 2]}…{arm[len(arm) - (left - left // 2 - 1) :]}"
    return f"{arm}: {metric.title}"


def interval_plot(metrics: Sequence[Metric], control: Sequence[Metric]) -> IntervalPlot | None:
    """Place each metric with a baseline above zero, with the row of its A/A control below it."""
    against = {metric.name: metric for metric in control}
    entries: list[tuple[Metric, bool]] = []
    for metric in metrics:
        if metric.baseline <= 0 or metric.unit == "share":
            continue
        entries.append((metric, False))
        if metric.name in against and against[metric.name].baseline > 0:
            entries.append((against[metric.name], True))
    if not entries:
        return None
    ends = [
        value / metric.baseline
        for metric, _ in entries
        for value in (metric.difference, *(metric.ci95 or ()))
    ]
    low, high = min(0.0, *ends), max(0.0, *ends)
    step = next(
        (one for one in (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if (high - low) / one <= 7),
        (high - low) / 5,
    )
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    if low == high:
        low, high = low - step, high + step

    def across(share: float) -> float:
        return round(float(LEFT + (share - low) / (high - low) * (RIGHT - LEFT)), 1)

    rows = []
    for place, (metric, quiet) in enumerate(entries):
        scale = metric.baseline
        ends_of = metric.ci95
        rows.append(
            Row(
                name="A/A control" if quiet else _label(metric),
                title=f"{metric.compared}, {metric.title}: {metric.difference:+.4g} {metric.unit}",
                y=16 + place * ROW_HEIGHT,
                x=across(metric.difference / scale),
                low=None if ends_of is None else across(ends_of[0] / scale),
                high=None if ends_of is None else across(ends_of[1] / scale),
                quiet=quiet,
            )
        )
    count = round((high - low) / step)
    ticks = tuple(
        Tick(across(low + n * step), f"{100 * (low + n * step):+.0f} %".replace("+0 %", "0"))
        for n in range(count + 1)
    )
    return IntervalPlot(
        "differences from the baseline in percent, with 95 % confidence intervals",
        tuple(rows),
        ticks,
        across(0.0),
        WIDTH,
        16 + len(rows) * ROW_HEIGHT + 22,
        LEFT,
    )
