"""Move the text out of a span: the span becomes small, and the text is stored once, as segments.

What the derivation needs from the content remains as attributes: estimated token counts, and the
time of the first token, which some conventions write as an event.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import orjson
from phasewise_store.facts import Fidelity, Segment, Span, Usage
from phasewise_store.segments import raw_segments

from phasewise_collector.dialects import (
    aliases,
    blobs,
    cut_json,
    hashed,
    tool_text,
    usage_aliases,
    wire,
)
from phasewise_collector.dialects.agent_names import agent_of_step
from phasewise_collector.dialects.cache_diagnostics import diagnosis
from phasewise_collector.dialects.cache_markers import Mark
from phasewise_collector.dialects.kinds import Kind, kind_of, may_be_llm
from phasewise_collector.dialects.log_records import KIND as LOG
from phasewise_collector.dialects.messages import exchange
from phasewise_collector.dialects.tool_text import ToolText
from phasewise_collector.dialects.usage import usage_of
from phasewise_collector.otlp.spans import Event, ReceivedSpan, Value

_TEXT = (
    "input.value",
    "output.value",
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.tools.",
    "llm.prompts.",
    "llm.request.functions.",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.output.text",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.prompt",
    "gen_ai.completion",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "ai.prompt",
    "ai.response.text",
    "ai.response.object",
    "ai.response.toolCalls",
    "ai.response.reasoning",
    "ai.toolCall.args",
    "ai.toolCall.result",
    "gcp.vertex.agent.llm_request",
    "gcp.vertex.agent.llm_response",
    "gcp.vertex.agent.tool_call_args",
    "gcp.vertex.agent.tool_response",
    "langfuse.observation.input",
    "langfuse.observation.output",
    "langfuse.trace.input",
    "langfuse.trace.output",
    "model_request_parameters",
    "all_messages_events",
    "pydantic_ai.all_messages",
    "logfire.json_schema",
    "final_result",
    "tool_arguments",
    "tool_response",
    "user_prompt",
    "events",
)
"""attributes, or beginnings of their names, that hold prompt text"""
_NOT_TEXT = (
    "ai.prompt.format",
    "user_prompt_length",
    "gen_ai.prompt.name",
    "gen_ai.prompt.version",
)


@lru_cache(maxsize=50_000)
def _holds_text(name: str) -> bool:
    return name.startswith(_TEXT) and name not in _NOT_TEXT


@dataclass(frozen=True, slots=True)
class Taken:
    """What one span says by itself: its text apart, and what kind of thing it describes."""

    span: Span
    kind: Kind
    usage: Usage
    """the tokens it reports, whatever its kind"""
    prompt: tuple[Segment, ...] = ()
    output: tuple[Segment, ...] = ()
    tool_text: ToolText = tool_text.UNKNOWN
    """of a tool"""


def _taken(span: Span, prompt: tuple[Segment, ...] = (), output: tuple[Segment, ...] = ()) -> Taken:
    kind = kind_of(span.name, span.attributes, span.kind)
    usage = NOTHING
    if kind in SUMMING and aliases.first(span.attributes, usage_aliases.OUTPUT_TOKENS) is not None:
        usage = usage_of(span.attributes, span.scope_name, span.scope_version)
    if kind in DESCRIBING:
        usage = (
            wire.usage(span)
            if wire.is_wire(span)
            else usage_of(span.attributes, span.scope_name, span.scope_version)
        )
        named = response_id(span.attributes)
        if named is not None:
            span = replace(span, response_id=named)
    return Taken(span, kind, usage, prompt, output)


NOTHING = Usage(origin="absent", cache_reported=False)
DESCRIBING: frozenset[Kind] = frozenset({"llm", "engine"})
"""kinds of spans that describe an LLM call"""
SUMMING: frozenset[Kind] = frozenset({"agent", "plumbing"})
"""kinds of spans that may repeat the usage of the calls below them"""
_ENGINE_ID = re.compile(r"((?:chatcmpl|cmpl|resp|msg)[-_][0-9A-Za-z]{16,})")


def response_id(attributes: Mapping[str, object]) -> str | None:
    """Return the id that a call's descriptions share; an engine adds to it."""
    named = aliases.text(attributes, aliases.RESPONSE_ID)
    return None if named is None else _common(named)


def ids(attributes: Mapping[str, object]) -> tuple[str, ...]:
    """Return all ids of the answer and of the request, each once."""
    found = (
        aliases.text(attributes, (name,)) for name in (*aliases.RESPONSE_ID, *aliases.REQUEST_ID)
    )
    return tuple(dict.fromkeys(_common(one) for one in found if one is not None))


def _common(named: str) -> str:
    common = _ENGINE_ID.match(named)
    return common[1] if common else named


def take(received: ReceivedSpan) -> Taken:
    """Split a received span into a small one and its content."""
    found = dict(blobs.facts(received.attributes))
    attributes = {
        name: value for name, value in received.attributes.items() if not _holds_text(name)
    } | found
    prompt: tuple[Segment, ...] = ()
    output: tuple[Segment, ...] = ()
    # an end before the start is a broken clock, an end of 0 a span that was never ended
    end_ns = max(received.start_ns, received.end_ns)
    if may_be_llm(received.name, received.attributes, received.kind):
        prompt, output, fidelity, marks = _content(received)
        attributes |= dict(_estimates(prompt, output))
        if marks:
            attributes[aliases.CACHE_MARKERS[0]] = orjson.dumps(marks).decode()
        seen = _seen_tokens(received)
        if seen:
            attributes.setdefault(aliases.FIRST_TOKEN_NS[0], max(0, min(seen) - received.start_ns))
            # a stream that is handed on: its span was ended with the time of that
            end_ns = max(end_ns, *seen)
        said = diagnosis(received.attributes.get("output.value"))
        if said is not None:
            attributes[aliases.CACHE_DIAGNOSIS[0]] = orjson.dumps(said).decode()
        attributes[aliases.CONTENT[0]] = fidelity
        if any(map(_cut_short, prompt)) or any(map(cut_json.is_cut, _texts(received))):
            attributes[aliases.TRUNCATED[0]] = True
    if received.status == "error":
        attributes |= _error_type(received)
    if received.scope_name == wire.SCOPE:
        attributes |= wire.provider(attributes)
    step_of = agent_of_step(received)
    if step_of is not None:
        attributes.setdefault(aliases.AGENT[1], step_of)
    resource = received.resource or {}
    service = resource.get("service.name")
    version = resource.get("service.version")
    if version:
        attributes.setdefault("service.version", version)
    taken = _taken(
        Span(
            trace_id=received.trace_id,
            span_id=received.span_id,
            parent_span_id=received.parent_span_id,
            name=received.name,
            kind=received.kind,
            start_ns=received.start_ns,
            end_ns=end_ns,
            scope_name=received.scope_name,
            scope_version=received.scope_version,
            service_name=service if isinstance(service, str) else "",
            status=received.status,
            status_message=received.status_message,
            attributes=attributes,
            dropped_attributes=received.dropped_attributes,
        ),
        prompt,
        output,
    )
    if taken.kind != "tool":
        return taken
    text = tool_text.of_span(received.attributes, received.events, received.kind)
    return replace(taken, tool_text=text)


def _error_type(received: ReceivedSpan) -> dict[str, Value]:
    """Return the class of the error that an event tells of, where no attribute names it."""
    if aliases.first(received.attributes, aliases.HTTP_STATUS) is not None:
        return {}
    named = (event.attributes.get("exception.type") for event in received.events)
    name = next((one for one in named if isinstance(one, str)), None)
    return {} if name is None else {"error.type": name}


class Content(NamedTuple):
    """What was sent and answered, as segments."""

    prompt: tuple[Segment, ...] = ()
    answer: tuple[Segment, ...] = ()
    fidelity: Fidelity = "none"
    """of the prompt"""
    marks: tuple[Mark, ...] = ()
    """the breakpoints that stood in it"""


def _content(received: ReceivedSpan) -> Content:
    written = received.attributes.get(hashed.PROMPT)
    if isinstance(written, str):
        answer = received.attributes.get(hashed.ANSWER)
        return Content(
            tuple(hashed.segments(written)),
            tuple(hashed.segments(answer)) if isinstance(answer, str) else (),
            "verbatim",
        )
    return content_of(received.attributes, received.events)


def content_of(attributes: Mapping[str, Value], events: Sequence[Event] = ()) -> Content:
    """Return prompt and answer as segments, how exact the prompt is, and its cache breakpoints."""
    found = exchange(attributes, events)
    answer = tuple(one.segment for one in found.answer)
    if found.raw is not None:
        return Content(raw_segments(found.raw), answer, found.fidelity)
    sent = (*found.tools, *found.prompt)
    marks = tuple((place, one.ttl) for place, one in enumerate(sent) if one.marked)
    return Content(tuple(one.segment for one in sent), answer, found.fidelity, marks)


def _texts(received: ReceivedSpan) -> Iterator[Value]:
    return (value for name, value in received.attributes.items() if _holds_text(name))


def _cut_short(segment: Segment) -> bool:
    """Return whether a sender has cut the text: it then says so at its end."""
    return segment.content is not None and segment.content[-40:].find(b"[TRUNCATED") >= 0


def without_content(span: Span) -> Taken:
    """Return a span that was stored before: its text is in the store already."""
    taken = _taken(replace(span, session_id=None, agent_id=None))
    if taken.kind != "tool" or span.kind != LOG:
        return taken
    # a record's text stands in its attributes: the tool's span may come after it
    return replace(taken, tool_text=tool_text.of_span(span.attributes, (), LOG))


def _estimates(
    prompt: tuple[Segment, ...], output: tuple[Segment, ...]
) -> Iterator[tuple[str, Value]]:
    if prompt:
        yield usage_aliases.ESTIMATED_INPUT[0], sum(segment.tokens for segment in prompt)
    if output:
        yield usage_aliases.ESTIMATED_OUTPUT[0], sum(segment.tokens for segment in output)


def _seen_tokens(received: ReceivedSpan) -> list[int]:
    """Return the moments at which tokens came."""
    return [event.time_ns for event in received.events if event.name in aliases.FIRST_TOKEN_EVENTS]
