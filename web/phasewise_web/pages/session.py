"""One session step by step: a waterfall whose bars are cached, prefill, decode."""

from dataclasses import dataclass

from phasewise_analyzer.findings import Step, Timeline
from phasewise_analyzer.timeline import timeline
from phasewise_reports.charts import Part
from phasewise_store.store import Store

from phasewise_web.pages import views
from phasewise_web.pages.scope_of import Place
from phasewise_web.pages.views import View


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the waterfall: where it begins and how long it is, as shares of the whole."""

    step: Step
    left: float
    width: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class SessionPage:
    """The steps and their bars."""

    timeline: Timeline
    view: View
    bars: tuple[Bar, ...]
    has_times: bool
    """whether the source says when its calls began: bars stand in time then"""
    notes: tuple[str, ...]


def session_page(store: Store, session_id: str, place: Place) -> SessionPage:
    """Make the page; raises UsageError where the session is not there."""
    found = timeline(store, session_id)
    has_times = bool(found.wall_ns)
    asked = place.query.get("view")
    view = views.view_of(asked) if asked or not has_times else "time"
    if view == "time" and not has_times:
        view = "tokens"
    make = _in_time if view == "time" else _side_by_side
    return SessionPage(found, view, make(found, view), has_times, views.notes(found.row.totals))


def _in_time(found: Timeline, view: View) -> tuple[Bar, ...]:
    wall = found.wall_ns or 1
    return tuple(
        Bar(
            step,
            left=(step.start_ns or 0) / wall,
            width=(step.duration_ns or 0) / wall,
            parts=views.parts(view, step),
        )
        for step in found.steps
    )


def _side_by_side(found: Timeline, view: View) -> tuple[Bar, ...]:
    """Give bars that begin at the left, as long as the step is large."""
    sizes = [_size(step, view) for step in found.steps]
    largest = max(sizes, default=0.0) or 1.0
    return tuple(
        Bar(step, 0.0, size / largest, views.parts(view, step))
        for step, size in zip(found.steps, sizes, strict=True)
    )


def _size(step: Step, view: View) -> float:
    if view == "price":
        return float(step.total_usd or 0)
    return float(step.input_tokens + step.output_tokens)
