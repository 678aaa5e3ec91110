"""One LLM call: its split, its price, and its prompt segment by segment."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from phasewise_analyzer.chat_messages.readable import readable
from phasewise_analyzer.findings import Step
from phasewise_analyzer.timeline import call_step
from phasewise_reports.charts import Part
from phasewise_reports.words import excerpt
from phasewise_store import reads
from phasewise_store.errors import UsageError
from phasewise_store.facts import Description, Labels, Segment
from phasewise_store.store import Store

from phasewise_web.caveats import state_of_analysis
from phasewise_web.pages import views
from phasewise_web.pages.address import Place

MOST_CHARACTERS = 20_000
"""of one segment that the page shows; `?all=1` and the JSON have all of it"""
MOST_SEGMENTS = 200
"""at each end of the prompt that the page shows; `?all=1` and the JSON have all of them"""
EXCERPT_CHARACTERS = 240


@dataclass(frozen=True, slots=True)
class Shown:
    """A segment as the page shows it."""

    excerpt: str
    """in one line"""
    words: str
    """what a person reads of it, perhaps only the beginning"""
    characters: int
    """of all its words"""


@dataclass(frozen=True, slots=True)
class Piece:
    """One segment of a prompt or an answer."""

    kind: str
    role: str | None
    tokens: int
    tokens_end: int
    """from the start of the prompt, this one included"""
    sent_before: bool
    """whether an earlier call had sent all of it, by the estimate of its tokens"""
    text: str | None
    """whole, as it was sent; None where only a hash is known"""
    digest: str
    shown: Shown | None
    """None where the page leaves it out, or only a hash is known"""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Segments of a very long prompt that the page does not show; its JSON has them."""

    first: int
    """place of the first one"""
    count: int
    """0 where the page shows all"""

    def __contains__(self, place: int) -> bool:
        return self.first <= place < self.first + self.count


@dataclass(frozen=True, slots=True)
class CallPage:
    """The call and its content."""

    step: Step
    session_id: str
    prompt: tuple[Piece, ...]
    """all of it"""
    output: tuple[Piece, ...]
    left_out: LeftOut
    price: tuple[Part, ...]
    time: tuple[Part, ...]
    tokens: tuple[Part, ...]
    described_by: tuple[Description, ...]
    """the spans and log records of which the call was made; empty for an imported one"""
    user: str | None
    labels: Labels
    notes: tuple[str, ...]


def call_page(store: Store, call_id: str, place: Place) -> CallPage:
    """Make the page; raises UsageError where the call is not there."""
    found = store.frame(
        "SELECT c.session_id, c.described_by, c.user_id, c.version, c.customer, c.tags, "
        "c.metadata, s.name AS source "
        "FROM llm_calls c JOIN sources s USING (source_id) WHERE c.call_id = $call_id",
        {"call_id": call_id},
    )
    if not found.height:
        raise UsageError(f"no call `{call_id}` in this database; `phasewise calls` lists them")
    (row,) = found.iter_rows(named=True)
    prompt = reads.prompt(store, call_id)
    step = call_step(store, call_id, prompt)
    is_whole = "all" in place.query
    most = None if is_whole else MOST_CHARACTERS
    is_long = len(prompt) > 2 * MOST_SEGMENTS and not is_whole
    left_out = LeftOut(MOST_SEGMENTS, len(prompt) - 2 * MOST_SEGMENTS if is_long else 0)
    whole = sum(segment.tokens for segment in prompt)
    # the reported input counts what no trace records (templates, tool schemas): scale to the text
    shared = step.sent_before_tokens * whole / step.input_tokens if step.input_tokens else 0
    return CallPage(
        step,
        row["session_id"],
        prompt=_pieces(prompt, shared + 1, left_out, most),
        output=_pieces(reads.output(store, call_id), -1, LeftOut(0, 0), most),
        left_out=left_out,
        price=views.parts("price", step),
        time=views.parts("time", step),
        tokens=views.parts("tokens", step),
        described_by=tuple(Description(**one) for one in orjson.loads(row["described_by"])),
        user=row["user_id"],
        labels=Labels(
            row["version"],
            row["customer"],
            tuple(row["tags"] or ()),
            orjson.loads(row["metadata"] or "{}"),
        ),
        notes=state_of_analysis(store, row["source"]),
    )


def _pieces(
    segments: Sequence[Segment], shared: float, left_out: LeftOut, most: int | None
) -> tuple[Piece, ...]:
    made: list[Piece] = []
    end = 0
    for place, segment in enumerate(segments):
        end += segment.tokens
        raw = segment.content
        made.append(
            Piece(
                segment.kind,
                segment.role,
                segment.tokens,
                end,
                end <= shared,
                None if raw is None else raw.decode("utf-8", "replace"),
                segment.digest.hex(),
                None if place in left_out else _shown(segment, most),
            )
        )
    return tuple(made)


def _shown(segment: Segment, most: int | None) -> Shown | None:
    words = readable(segment)
    if words is None:
        return None
    return Shown(excerpt(words, EXCERPT_CHARACTERS), words[:most], len(words))
