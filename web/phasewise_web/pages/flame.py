"""The prefix flame graph: where prompts share and where they part, one frame opened at a time."""

from dataclasses import dataclass
from typing import cast

from phasewise_analyzer.flame import kept_tree, tree_json
from phasewise_analyzer.flame.facts import Flame, Frame, Measure
from phasewise_analyzer.flame.kept_tree import KeptTree
from phasewise_reports import flame_chart
from phasewise_reports.flame_chart import FlameChart
from phasewise_store.kept_answers import Question
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_web.background.answers import NOTHING, Answers, Look, Progress
from phasewise_web.background.questions import FLAME
from phasewise_web.caveats import state_of_analysis
from phasewise_web.pages.address import Place, source_of, sources


@dataclass(frozen=True, slots=True)
class Row:
    """One stretch of the table."""

    where: str
    shared: str
    """the end of what its siblings have too"""
    text: str
    """what follows, where they part"""
    href: str
    """the page with this stretch topmost"""
    frame: Frame


@dataclass(frozen=True, slots=True)
class FlamePage:
    """One picture, and the stretches that are widest in themselves."""

    source: str | None
    """data set; blocks of different ones have different sizes, so one is looked at at a time"""
    sources: tuple[str, ...]
    measure: Measure
    found: Flame | None
    """None where the store is empty, or nothing is drawn yet"""
    progress: Progress
    where: str
    """the topmost frame's place in words"""
    words: str
    """the text where it parts from its siblings"""
    chart: FlameChart | None
    """None where nothing has a width in this measure"""
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def flame_page(store: Store, place: Place, answers: Answers) -> FlamePage:
    """Make the page for the data set, the measure and the frame named in the address."""
    there = sources(store)
    source = source_of(store, place)
    measure = cast("Measure", place.query.get("width", "sent"))
    if source is None:
        return FlamePage(None, there, measure, None, NOTHING, "", "", None, (), ())
    scope = Place(place.path, {**place.query, "source": source}).scope
    found, progress = _picture(answers, scope, measure, place.query.get("node", ""))
    if found is None:
        return FlamePage(source, there, measure, None, progress, "", "", None, (), ())

    def link(address: str) -> str:
        return place.with_(node=address or None)

    top = found.frames[0]
    return FlamePage(
        source,
        there,
        measure,
        found,
        progress,
        flame_chart.where(top),
        flame_chart.wording(top.start.text) if top.start else "",
        flame_chart.flame_chart(found, link),
        tuple(_row(frame, link) for frame in found.widest),
        (*state_of_analysis(store, source), *_notes(found)),
    )


def _picture(
    answers: Answers, scope: Scope, measure: Measure, address: str
) -> tuple[Flame | None, Progress]:
    """Draw from what is kept of the scope; of a frame inside it, where that shows more."""
    whole = answers.look(Question(FLAME, scope), tree_json.read)
    drawn = None if whole.answer is None else kept_tree.picture(whole.answer, measure, address)
    if not address or whole.answer is None or (drawn is not None and drawn.is_whole):
        return (None if drawn is None else drawn.flame), whole.progress
    opened: Look[KeptTree] = answers.look(Question(FLAME, scope, address), tree_json.read)
    if opened.answer is None:
        return (None if drawn is None else drawn.flame), opened.progress
    return kept_tree.opened(opened.answer, measure).flame, opened.progress


def _row(frame: Frame, link: flame_chart.Link) -> Row:
    start = frame.start
    shared, text = (start.shared, start.text) if start else ("", "")
    return Row(
        flame_chart.where(frame),
        flame_chart.wording(shared),
        flame_chart.wording(text),
        link(frame.address),
        frame,
    )


def _notes(found: Flame) -> list[str]:
    """Say what the picture cannot know."""
    notes = []
    if found.cache_unknown_calls:
        notes.append(
            f"{found.cache_unknown_calls:,} of {found.calls:,} calls do not report cached "
            "tokens: what they had sent before is drawn hatched, and is not counted as missed."
        )
    if found.unpriced_calls:
        notes.append(
            f"{found.unpriced_calls:,} calls have no known price; their tokens cost nothing here."
        )
    if found.unknown_calls:
        notes.append(
            f"{found.unknown_calls:,} calls have no recorded prompt; their tokens are only in "
            "the top frame."
        )
    return notes
