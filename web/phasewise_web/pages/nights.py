"""The trend of every gate over the nights of one name."""

from collections import defaultdict
from dataclasses import dataclass

from phasewise_replay.verdicts.measures import MEASURES
from phasewise_reports.trend_chart import Point, Trend, trend
from phasewise_reports.words import moment
from phasewise_store import nights, runs
from phasewise_store.errors import UsageError
from phasewise_store.nights import GatedMeasure, NightRow
from phasewise_store.store import Store


@dataclass(frozen=True, slots=True)
class NightlyRow:
    """One name, with its newest night."""

    name: str
    count: int
    newest: NightRow


@dataclass(frozen=True, slots=True)
class Gated:
    """What one gate saw of one arm, night after night."""

    arm: str
    measure: str
    title: str
    unit: str
    allowed_percent: float
    """the newest night's"""
    newest: GatedMeasure
    trend: Trend | None
    """None where fewer than two nights have a value"""


@dataclass(frozen=True, slots=True)
class Night:
    """One night, and whether its calls are still there."""

    night: NightRow
    kept: bool


@dataclass(frozen=True, slots=True)
class NightsPage:
    """All nights of a name, the newest first."""

    name: str
    nights: tuple[Night, ...]
    gates: tuple[Gated, ...]


def names(store: Store) -> tuple[NightlyRow, ...]:
    """Return every name that has nights, the one with the newest night first."""
    found: dict[str, list[NightRow]] = defaultdict(list)
    for night in nights.nights(store):
        found[night.name].append(night)
    return tuple(NightlyRow(name, len(rows), rows[0]) for name, rows in found.items())


def nights_page(store: Store, name: str) -> NightsPage:
    """Make the page; raises UsageError where the name has no nights."""
    found = nights.nights(store, name)
    if not found:
        raise UsageError(f"no nights of the name `{name}` yet")
    kept = {run.run_id for run in runs.runs(store)}
    started = {night.run_id: night.started_ns for night in found}
    series: dict[tuple[str, str], list[GatedMeasure]] = defaultdict(list)
    for row in nights.measures(store, name):
        series[row.arm, row.measure].append(row)
    return NightsPage(
        name,
        tuple(Night(night, night.run_id in kept) for night in found),
        tuple(_gated(rows, started) for _, rows in sorted(series.items())),
    )


def _gated(rows: list[GatedMeasure], started: dict[str, int]) -> Gated:
    newest = rows[-1]
    measure = next(one for one in MEASURES if one.name == newest.measure)
    points = [
        Point(
            moment(started[row.run_id]).split(" ")[0],
            row.value,
            f"{moment(started[row.run_id])}: {row.value:.4g} {measure.unit}{_change(row)}",
            row.regressed,
        )
        for row in rows
        if row.value is not None
    ]
    label = f"{measure.title} of {newest.arm}, {len(points)} nights"
    return Gated(
        newest.arm,
        newest.measure,
        measure.title,
        measure.unit,
        newest.allowed_percent,
        newest,
        trend(points, label=label, unit=measure.unit),
    )


def _change(row: GatedMeasure) -> str:
    if row.change_percent is None:
        return ""
    return f", {row.change_percent:+.1f} % since the last valid night"
