"""One session step by step: a waterfall whose bars are cached, prefill, decode."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from phasewise_analyzer.findings import Step, Timeline
from phasewise_analyzer.timeline import timeline
from phasewise_reports.charts import Part
from phasewise_reports.words import excerpt
from phasewise_store.store import Store

from phasewise_web.caveats import caveats, state_of_analysis
from phasewise_web.pages import views
from phasewise_web.pages.address import Place
from phasewise_web.pages.views import View

GAP_SHARE_PERCENT = 1
"""a gap takes at most so much of the busy time"""
EXCERPT_CHARACTERS = 120
PAGE_STEPS = 50
TOOL_CHARACTERS = 4_000
"""of a tool's arguments, and of its result, that the page holds; its JSON twin has the whole"""


@dataclass(frozen=True, slots=True)
class ToolText:
    """What a tool was called with and gave back, as the page shows it."""

    excerpt: str
    arguments: str | None
    result: str | None
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the waterfall: where it begins and how long it is, as shares of the whole."""

    step: Step
    left: float
    width: float
    parts: tuple[Part, ...]
    is_placed: bool
    """whether it stands in time by the end of its call, since nobody recorded when it ran"""
    tool: ToolText | None
    """None where the step is no tool, or nothing is known of what it was called with"""


@dataclass(frozen=True, slots=True)
class SessionPage:
    """The steps and their bars."""

    timeline: Timeline
    view: View
    bars: tuple[Bar, ...]
    idle_ns: int
    """idle time that the waterfall leaves out: gaps in which nothing ran"""
    has_times: bool
    """whether the source says when its calls began: bars stand in time then"""
    offset: int
    earlier: int | None
    """offset of the page before; None on the first"""
    later: int | None
    """offset of the page behind; None on the last"""
    notes: tuple[str, ...]


def session_page(store: Store, session_id: str, place: Place) -> SessionPage:
    """Make the page; raises UsageError where the session is not there."""
    offset = 0 if "all" in place.query else place.offset
    limit = None if "all" in place.query else PAGE_STEPS
    found = timeline(store, session_id, offset=offset, limit=limit)
    has_times = any(step.kind == "llm" and step.start_ns is not None for step in found.steps)
    view = views.view_of(place.query.get("view", "time"))
    if view == "time" and not has_times:
        view = "tokens"
    later = offset + len(found.steps)
    clock = BusyClock(
        [
            (step.start_ns, step.start_ns + (step.duration_ns or 0))
            for step in found.steps
            if step.start_ns is not None
        ]
    )
    in_time = view == "time"
    return SessionPage(
        found,
        view,
        _in_time(found, clock) if in_time else _side_by_side(found, view),
        clock.cut_ns if in_time else 0,
        has_times,
        offset,
        max(0, offset - PAGE_STEPS) if offset else None,
        later if later < found.steps_there else None,
        (*state_of_analysis(store, found.row.source), *caveats([found.row.totals])),
    )


class BusyClock:
    """A clock that hardly moves while nothing runs: a person's hour would hide every call."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._shifts: list[int] = []
        self.cut_ns = 0
        """idle time left out, in all"""
        merged = _merged(spans)
        busy = sum(end - start for start, end in merged)
        longest = max(1, busy * GAP_SHARE_PERCENT // 100)
        first = before = merged[0][0] if merged else 0
        for start, end in merged:
            self.cut_ns += max(0, start - before - longest)
            self._starts.append(start)
            self._shifts.append(first + self.cut_ns)
            before = end
        self.length_ns = max(1, before - first - self.cut_ns)

    def at(self, moment_ns: int) -> int:
        """Return a moment on this clock."""
        place = bisect_right(self._starts, moment_ns) - 1
        return moment_ns - self._shifts[max(0, place)]


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the stretches in which something ran."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _in_time(found: Timeline, clock: BusyClock) -> tuple[Bar, ...]:
    """Give bars where their steps ran; a tool without a time stands at the end of its call."""
    ends = {
        (step.agent_id, step.step): step.start_ns + (step.duration_ns or 0)
        for step in found.steps
        if step.kind == "llm" and step.start_ns is not None
    }
    bars = []
    for step in found.steps:
        start = step.start_ns
        if start is None:
            start = ends.get((step.agent_id, step.step))
        bars.append(
            Bar(
                step,
                left=clock.at(start) / clock.length_ns if start is not None else 0.0,
                width=(step.duration_ns or 0) / clock.length_ns if step.start_ns is not None else 0,
                parts=views.parts("time", step),
                is_placed=step.start_ns is None and start is not None,
                tool=_tool_text(step),
            )
        )
    return tuple(bars)


def _side_by_side(found: Timeline, view: View) -> tuple[Bar, ...]:
    """Return bars that begin at the left, as long as the step is large."""
    sizes = [_size(step, view) for step in found.steps]
    largest = max(sizes, default=0.0) or 1.0
    return tuple(
        Bar(step, 0.0, size / largest, views.parts(view, step), False, _tool_text(step))
        for step, size in zip(found.steps, sizes, strict=True)
    )


def _tool_text(step: Step) -> ToolText | None:
    there = [text for text in (step.arguments, step.result) if text is not None]
    if step.kind != "tool" or not there:
        return None
    return ToolText(
        excerpt(" → ".join(text[:EXCERPT_CHARACTERS] for text in there), EXCERPT_CHARACTERS),
        None if step.arguments is None else step.arguments[:TOOL_CHARACTERS],
        None if step.result is None else step.result[:TOOL_CHARACTERS],
        any(len(text) > TOOL_CHARACTERS for text in there),
    )


def _size(step: Step, view: View) -> float:
    if view == "price":
        return float(step.total_usd or 0)
    return float(step.input_tokens + step.output_tokens)
