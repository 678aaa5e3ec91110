"""One LLM call: its split, its price, and its prompt segment by segment."""

from dataclasses import dataclass

import orjson
from phasewise_analyzer.findings import Step
from phasewise_analyzer.timeline import timeline
from phasewise_reports.charts import Part
from phasewise_reports.words import excerpt
from phasewise_store import reads
from phasewise_store.errors import UsageError
from phasewise_store.facts import Description, Labels, Segment
from phasewise_store.store import Store

from phasewise_web.pages import views

MOST_CHARACTERS = 20_000
"""of one segment; `phasewise show` and the JSON twin have all of it"""
MOST_SEGMENTS = 400
EXCERPT_CHARACTERS = 240


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
    excerpt: str
    """what a person would read of it in one line"""
    text: str | None
    """None where only a hash is known"""
    digest: str


@dataclass(frozen=True, slots=True)
class CallPage:
    """The call and its content."""

    step: Step
    session_id: str
    prompt: tuple[Piece, ...]
    output: tuple[Piece, ...]
    left_out: int
    """segments in the middle of a very long prompt that the page leaves out"""
    price: tuple[Part, ...]
    time: tuple[Part, ...]
    tokens: tuple[Part, ...]
    described_by: tuple[Description, ...]
    """the spans and log records of which the call was made; empty for an imported one"""
    user: str | None
    labels: Labels


def call_page(store: Store, call_id: str) -> CallPage:
    """Make the page; raises UsageError where the call is not there."""
    found = store.frame(
        "SELECT session_id, described_by, user_id, version, customer, tags, metadata "
        "FROM llm_calls WHERE call_id = $call_id",
        {"call_id": call_id},
    )
    if not found.height:
        raise UsageError(f"no call `{call_id}` in this database; `phasewise calls` lists them")
    (row,) = found.iter_rows(named=True)
    session_id = row["session_id"]
    step = next(one for one in timeline(store, session_id).steps if one.id == call_id)
    prompt = reads.prompt(store, call_id)
    whole = sum(segment.tokens for segment in prompt)
    # the reported input counts what no trace records (templates, tool schemas): scale to the text
    shared = step.sent_before_tokens * whole / step.input_tokens if step.input_tokens else 0
    pieces = _pieces(prompt, shared + 1)
    half = MOST_SEGMENTS // 2
    shown = pieces if len(pieces) <= MOST_SEGMENTS else (*pieces[:half], *pieces[-half:])
    return CallPage(
        step,
        session_id,
        prompt=shown,
        output=_pieces(reads.output(store, call_id), -1),
        left_out=len(pieces) - len(shown),
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
    )


def _pieces(segments: tuple[Segment, ...], shared: float) -> tuple[Piece, ...]:
    made: list[Piece] = []
    end = 0
    for segment in segments:
        end += segment.tokens
        text = None
        if segment.content is not None:
            text = readable(segment.content.decode("utf-8", "replace"))[:MOST_CHARACTERS]
        made.append(
            Piece(
                segment.kind,
                segment.role,
                segment.tokens,
                end,
                end <= shared,
                excerpt(text, EXCERPT_CHARACTERS),
                text,
                segment.digest.hex(),
            )
        )
    return tuple(made)


def readable(text: str) -> str:
    """Write a message's JSON as a person reads it: its words, then what it calls or carries."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    if not isinstance(message, dict) or "role" not in message:
        return orjson.dumps(message, option=orjson.OPT_INDENT_2).decode()
    content = message.get("content")
    parts = [content] if isinstance(content, str) else []
    rest = {
        name: value
        for name, value in message.items()
        if value and name != "role" and not (name == "content" and parts)
    }
    if rest:
        parts.append(orjson.dumps(rest, option=orjson.OPT_INDENT_2).decode())
    return "\n\n".join(parts)
