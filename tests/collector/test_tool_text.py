"""Arguments and results of tools: in every convention, over batches, out of prompts."""

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_collector import ingest
from phasewise_collector.dialects import log_records, tool_text
from phasewise_collector.dialects.content import take
from phasewise_collector.dialects.derive import derive
from phasewise_collector.loader import SOURCE
from phasewise_collector.otlp import protobuf
from phasewise_collector.otlp.spans import Event, ReceivedRecord, ReceivedSpan
from phasewise_store import tool_text as stored_text
from phasewise_store.facts import MOST_TOOL_TEXT
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import START_NS, Made, request
from tests.collector.test_conversations import HELLO, Message, call

ARGUMENTS = '{"city": "Ulm"}'
CONVENTIONS: dict[str, Mapping[str, object]] = {
    "opentelemetry": {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.call.arguments": ARGUMENTS,
        "gen_ai.tool.call.result": "rain",
    },
    "openinference": {
        "openinference.span.kind": "TOOL",
        "tool.name": "weather",
        "tool.parameters": '{"city": "str"}',
        "input.value": ARGUMENTS,
        "output.value": "rain",
    },
    "openinference with parameters only": {
        "openinference.span.kind": "TOOL",
        "tool.name": "weather",
        "tool.parameters": ARGUMENTS,
        "output.value": "rain",
    },
    "traceloop": {
        "traceloop.span.kind": "tool",
        "traceloop.entity.name": "weather",
        "traceloop.entity.input": ARGUMENTS,
        "traceloop.entity.output": "rain",
    },
    "vercel": {
        "ai.operationId": "ai.toolCall",
        "ai.toolCall.name": "weather",
        "ai.toolCall.args": ARGUMENTS,
        "ai.toolCall.result": "rain",
    },
    "pydantic ai": {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "tool_arguments": ARGUMENTS,
        "tool_response": "rain",
    },
    "google adk": {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gcp.vertex.agent.tool_call_args": ARGUMENTS,
        "gcp.vertex.agent.tool_response": "rain",
    },
    "langfuse": {
        "langfuse.observation.type": "tool",
        "tool_name": "weather",
        "langfuse.observation.input": ARGUMENTS,
        "langfuse.observation.output": "rain",
    },
    "langsmith": {
        "langsmith.span.kind": "tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.prompt": ARGUMENTS,
        "gen_ai.completion": "rain",
    },
    "mlflow": {
        "mlflow.spanType": "TOOL",
        "tool_name": "weather",
        "mlflow.spanInputs": ARGUMENTS,
        "mlflow.spanOutputs": "rain",
    },
    "mcp": {
        "gen_ai.operation.name": "execute_tool",
        "mcp.method.name": "tools/call",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.call.arguments": {"city": "Ulm"},
        "gen_ai.tool.call.result": [{"type": "text", "text": "rain"}],
    },
}
RECORDS: dict[str, tuple[Mapping[str, object], str | None]] = {
    "claude_code.tool_result": (
        {"tool_name": "weather", "tool_input": ARGUMENTS, "tool_parameters": "{}"},
        None,
    ),
    "codex.tool_result": (
        {"tool_name": "weather", "arguments": ARGUMENTS, "output": "rain"},
        "rain",
    ),
    "gemini_cli.tool_call": ({"function_name": "weather", "function_args": ARGUMENTS}, None),
}


def tool(attributes: Mapping[str, object], **other: int) -> Made:
    """Make a tool's span."""
    return Made(2, 1, "a tool", attributes, **other)  # type: ignore[arg-type]  # numbers only


def received(*spans: Made) -> Sequence[ReceivedSpan]:
    """Decode spans as they arrive."""
    return protobuf.decode(request(*spans).SerializeToString()).spans


def arrive(store: Store, *spans: Made) -> None:
    """Bring spans into the store as one batch."""
    with store.transaction() as connection:
        ingest.write(store, connection, ingest.prepare(store, received(*spans)), SOURCE)


def texts(store: Store) -> list[tuple[str | None, ...]]:
    """Give name, arguments, result and error of each tool run."""
    return store.frame("SELECT name, arguments, result, error FROM tool_calls ORDER BY ALL").rows()


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_tool_s_span_gives_its_arguments_and_result(convention: str) -> None:
    """Each convention's names for them are read."""
    (made,) = derive([take(one) for one in received(tool(CONVENTIONS[convention]))]).tool_calls
    assert made.name == "weather"
    assert made.arguments is not None
    assert json.loads(made.arguments) == {"city": "Ulm"}
    assert made.result == "rain"


@pytest.mark.parametrize("event", RECORDS)
def test_a_tool_s_log_record_gives_them(event: str) -> None:
    """Coding agents write a record for each tool, with content where they are told to."""
    attributes, result = RECORDS[event]
    span = log_records.as_span(ReceivedRecord(START_NS, event, None, attributes))  # type: ignore[arg-type]  # texts
    (made,) = derive([take(span)]).tool_calls
    assert (made.name, made.arguments, made.result) == ("weather", ARGUMENTS, result)


def test_events_of_a_tool_s_span_give_them() -> None:
    """Strands and Claude Code write content as events."""
    strands = [
        Event("gen_ai.tool.message", 1, {"role": "tool", "content": ARGUMENTS}),
        Event("gen_ai.choice", 2, {"message": "rain"}),
    ]
    assert tool_text.of_span({}, strands) == (ARGUMENTS, "rain")
    claude = [Event("tool.output", 1, {"bash_command": "date", "output": "Monday"})]
    assert tool_text.of_span({}, claude).result == "Monday"


def test_what_a_sender_hides_is_not_known() -> None:
    """A mark in the place of content is no content."""
    assert tool_text.of_span({"input.value": "__REDACTED__"}) == (None, None)


def test_a_trace_that_goes_on_keeps_the_text_of_its_tools(store: Store) -> None:
    """The trace is derived again from spans that are stored without text."""
    arrive(store, tool(CONVENTIONS["openinference"]))
    agent = {"openinference.span.kind": "AGENT", "agent.name": "planner"}
    arrive(store, Made(1, None, "planner", agent, ms=900))
    arrive(store, Made(3, 1, "other", agent, start_ms=950))
    assert texts(store) == [("weather", ARGUMENTS, "rain", None)]


@pytest.mark.parametrize("span_first", [True, False])
def test_a_record_completes_the_span_of_its_tool(store: Store, *, span_first: bool) -> None:
    """One run with the record's text, whichever of both comes first."""
    span = received(tool({"openinference.span.kind": "TOOL", "tool.name": "weather"}))[0]
    said = {"tool_name": "weather", "arguments": ARGUMENTS, "output": "rain"}
    record = log_records.as_span(
        ReceivedRecord(START_NS, "codex.tool_result", None, said, span.trace_id, span.span_id)
    )
    for one in (span, record) if span_first else (record, span):
        with store.transaction() as connection:
            ingest.write(store, connection, ingest.prepare(store, [one]), SOURCE)
    assert texts(store) == [("weather", ARGUMENTS, "rain", None)]


GIVEN = {"city": "Ulm"}
SHAPES: dict[str, tuple[Message, Message]] = {
    "chat": (
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "x",
                    "type": "function",
                    "function": {"name": "weather", "arguments": ARGUMENTS},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "x", "content": "rain"},
    ),
    "responses": (
        {
            "role": "assistant",
            "content": [
                {
                    "type": "function_call",
                    "call_id": "x",
                    "name": "weather",
                    "arguments": ARGUMENTS,
                }
            ],
        },
        {
            "role": "tool",
            "content": [{"type": "function_call_output", "call_id": "x", "output": "rain"}],
        },
    ),
    "anthropic": (
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "x", "name": "weather", "input": GIVEN}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "x",
                    "content": [{"type": "text", "text": "rain"}],
                }
            ],
        },
    ),
    "gemini": (
        {
            "role": "assistant",
            "content": [{"functionCall": {"name": "weather", "args": GIVEN}}],
        },
        {
            "role": "user",
            "content": [{"functionResponse": {"name": "weather", "response": "rain"}}],
        },
    ),
    "bedrock": (
        {
            "role": "assistant",
            "content": [{"toolUse": {"toolUseId": "x", "name": "weather", "input": GIVEN}}],
        },
        {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "x", "content": [{"text": "rain"}]}}],
        },
    ),
}


def loop(answer: Message, result: Message) -> tuple[Made, Made]:
    """Make two calls, the second of which answers what the first asks for."""
    done = {"role": "assistant", "content": "It rains."}
    return call(1, [HELLO], answer), call(2, [HELLO, answer, result], done)


@pytest.mark.parametrize("shape", SHAPES)
def test_derived_tools_have_the_text_of_the_prompts(shape: str) -> None:
    """In one batch, in two, and in two the wrong way around."""
    one, two = loop(*SHAPES[shape])
    for batches in ([[one, two]], [[one], [two]], [[two], [one]]):
        with Store.in_memory() as store:
            for batch in batches:
                arrive(store, *batch)
            ((name, arguments, result, error),) = texts(store)
            assert (name, result, error) == ("weather", "rain", None)
            assert json.loads(str(arguments)) == GIVEN


def test_a_derived_tool_that_failed_says_so(store: Store) -> None:
    """Anthropic marks the result."""
    answer, result = SHAPES["anthropic"]
    failed = {**result, "content": [{**result["content"][0], "is_error": True}]}
    arrive(store, *loop(answer, failed))
    ((_, _, text, error),) = texts(store)
    assert (text, error) == ("rain", tool_text.FAILED)


def test_two_runs_without_ids_have_their_own_results(store: Store) -> None:
    """Gemini's results come in the order of what was asked for."""
    asked = [{"functionCall": {"name": "weather", "args": {"city": c}}} for c in ("Ulm", "Bern")]
    brought = [{"functionResponse": {"name": "weather", "response": c}} for c in ("rain", "snow")]
    arrive(
        store,
        *loop({"role": "assistant", "content": asked}, {"role": "user", "content": brought}),
    )
    assert [(json.loads(str(one[1]))["city"], one[2]) for one in texts(store)] == [
        ("Bern", "snow"),
        ("Ulm", "rain"),
    ]


@given(st.text(min_size=1).map(lambda text: text * (1 + 2 * MOST_TOOL_TEXT // len(text))))
def test_a_long_text_is_cut_and_says_how_long_it_was(text: str) -> None:
    """What is stored has the most characters that are allowed, the mark included."""
    cut = stored_text.stored(text)
    assert cut is not None
    assert len(cut) == MOST_TOOL_TEXT
    mark = stored_text.CUT.format(characters=len(text))
    assert cut.endswith(mark)
    assert text.startswith(cut.removesuffix(mark))


@given(st.text(max_size=200))
def test_a_short_text_is_stored_as_it_is(text: str) -> None:
    """Nothing is cut that fits."""
    assert stored_text.stored(text) == text
