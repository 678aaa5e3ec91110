"""Conversations and tool runs out of successive prompts, however the calls arrive."""

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_collector.dialects.turns import answer_of, turn_of
from phasewise_collector.loader import Loader
from phasewise_collector.log.writer import LogWriter
from phasewise_store.segments import encoded_segment
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import Made, request

Message = Mapping[str, Any]

SYSTEM: Message = {"role": "system", "content": "You plan trips."}
HELLO: Message = {"role": "user", "content": "plan a trip"}
MORE: Message = {"role": "user", "content": "and once more"}
DONE: Message = {"role": "assistant", "content": "The trip is planned."}


def asks(*tools: tuple[str, str], **extra: object) -> Message:
    """Make an answer that asks for tools, each with an id."""
    calls = [
        {"id": tool_id, "type": "function", "function": {"name": name, "arguments": "{}"}}
        for name, tool_id in tools
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls, **extra}


def result(tool_id: str) -> Message:
    """Make a tool's result."""
    return {"role": "tool", "tool_call_id": tool_id, "content": "21"}


def call(number: int, sent: Sequence[Message], answer: Message, service: str = "program") -> Made:
    """Make the span of a call; each stands in a trace of its own, a second after the one before."""
    return Made(
        number,
        trace=number,
        start_ms=1000 * number,
        attributes={
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o",
            "input.value": json.dumps({"model": "gpt-4o", "messages": list(sent)}),
            "output.value": json.dumps({"choices": [{"message": answer}]}),
        },
        service=service,
    )


def tool_loop(first: int, tag: str) -> list[Made]:
    """Make a conversation of two turns with two tools in parallel, resent as an SDK dumps it."""
    weather, price = f"call_{tag}_1", f"call_{tag}_2"
    answer = asks(("get_weather", weather), ("get_price", price))
    resent = {name: value for name, value in answer.items() if value is not None}
    one = [SYSTEM, HELLO]
    two = [*one, resent, result(weather), result(price)]
    three = [*two, {"role": "assistant", "content": "The trip is planned.", "refusal": None}, MORE]
    return [
        call(first, one, answer),
        call(first + 1, two, DONE),
        call(first + 2, three, DONE),
    ]


def loaded(batches: Sequence[Sequence[Made]]) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """Load batches one after the other; give each call's session, and the tool runs."""
    with tempfile.TemporaryDirectory() as folder, Store.in_memory() as store:
        path = Path(folder)
        for batch in batches:
            body = request(*batch).SerializeToString()
            asyncio.run(_append(path, body, len(batch)))
            # a loader that was restarted in between knows no more than the store does
            Loader(store, path).load()
        sessions = store.frame("SELECT span_id, session_id FROM llm_calls").iter_rows()
        tools = store.frame(
            "SELECT name, started_ns, duration_ns, derived, after_step, session_id, agent_id "
            "FROM tool_calls ORDER BY ALL"
        ).iter_rows()
        return {str(int(span, 16)): session for span, session in sessions}, list(tools)


async def _append(folder: Path, body: bytes, spans: int) -> None:
    writer = LogWriter(folder)
    await writer.append("traces", "protobuf", "", body, accepted=spans)
    await writer.close()


def grouped(sessions: Mapping[str, str]) -> list[list[str]]:
    """Give the calls of each session."""
    found: dict[str, list[str]] = {}
    for name in sorted(sessions, key=int):
        found.setdefault(sessions[name], []).append(name)
    return sorted(found.values())


def test_a_plain_loop_is_one_session_with_its_tools() -> None:
    """Three calls in three traces are one conversation, and its tools ran between two of them."""
    sessions, tools = loaded([tool_loop(1, "a")])
    assert grouped(sessions) == [["1", "2", "3"]]
    first_end = 1_760_000_000 * 10**9 + 1_100 * 10**6
    assert [tool[:5] for tool in tools] == [
        ("get_price", first_end, 900 * 10**6, True, 0),
        ("get_weather", first_end, 900 * 10**6, True, 0),
    ]


def test_equal_first_prompts_are_two_conversations() -> None:
    """Two users who ask the same are apart, also where the model answers both with one text."""
    twins = [
        call(1, [SYSTEM, HELLO], DONE),
        call(2, [SYSTEM, HELLO], DONE),
        call(3, [SYSTEM, HELLO, DONE, MORE], DONE),
        call(4, [SYSTEM, HELLO, DONE, MORE], DONE),
    ]
    sessions, _ = loaded([twins])
    assert grouped(sessions) == [["1", "4"], ["2", "3"]]


def test_branches_stay_in_the_session() -> None:
    """Two calls that both go on from one answer are in its session, and run its tools once."""
    loop = tool_loop(1, "a")
    sent = json.loads(str(loop[1].attributes["input.value"]))["messages"]
    sessions, tools = loaded([[*loop, call(4, sent, DONE)]])
    assert grouped(sessions) == [["1", "2", "3", "4"]]
    assert len(tools) == 2


def test_a_history_without_its_tools_goes_on() -> None:
    """A framework may keep only what was said: the question, the last answer, the next question."""
    one, two, _ = tool_loop(1, "a")
    sessions, _ = loaded([[one, two, call(3, [SYSTEM, HELLO, DONE, MORE], DONE)]])
    assert grouped(sessions) == [["1", "2", "3"]]


def test_an_agent_that_is_asked_again_goes_on() -> None:
    """A prompt may end in the answers that were given before, with nothing new behind them."""
    again = {"role": "assistant", "content": "Planned once more."}
    sessions, _ = loaded(
        [
            [
                call(1, [SYSTEM, HELLO], DONE),
                call(2, [SYSTEM, HELLO, DONE], again),
                call(3, [SYSTEM, HELLO, DONE, again], DONE),
            ]
        ]
    )
    assert grouped(sessions) == [["1", "2", "3"]]


def test_another_program_does_not_go_on_with_a_conversation() -> None:
    """What one program was answered is not what another one goes on from."""
    before, after, _ = tool_loop(1, "a")
    other = call(2, json.loads(str(after.attributes["input.value"]))["messages"], DONE, service="b")
    sessions, tools = loaded([[before, other]])
    assert grouped(sessions) == [["1"], ["2"]]
    assert tools == []


def test_a_named_session_is_kept() -> None:
    """Calls with names of their own stay apart; one without joins the one it goes on from."""
    one, two, three = tool_loop(1, "a")
    named = [
        Made(**{**vars(one), "attributes": {**one.attributes, "session.id": "s1"}}),
        two,
        Made(**{**vars(three), "attributes": {**three.attributes, "session.id": "s3"}}),
    ]
    sessions, _ = loaded([named])
    assert sessions == {"1": "s1", "2": "s1", "3": "s3"}


def test_a_span_that_names_the_tool_is_not_counted_again() -> None:
    """The weather has a span in the asking call's trace; only the price is derived."""
    span = Made(
        9,
        trace=1,
        name="get_weather",
        start_ms=1_200,
        attributes={"openinference.span.kind": "TOOL", "tool.name": "get_weather"},
    )
    for batches in ([[*tool_loop(1, "a"), span]], [tool_loop(1, "a"), [span]]):
        _, tools = loaded(batches)
        assert [(tool[0], tool[3]) for tool in tools] == [
            ("get_price", True),
            ("get_weather", False),
        ]


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_batches_and_their_order_change_nothing(data: st.DataObject) -> None:
    """Any order of the spans in any batches gives what all of them at once give."""
    spans = [*tool_loop(1, "a"), *tool_loop(11, "b"), call(21, [SYSTEM, HELLO], DONE)]
    mixed = data.draw(st.permutations(spans))
    cuts = data.draw(st.lists(st.integers(1, len(spans) - 1), max_size=4, unique=True).map(sorted))
    ends = [0, *cuts, len(spans)]
    batches = [mixed[begin:end] for begin, end in pairwise(ends)]
    assert loaded(batches) == loaded([spans])


SHAPES: dict[str, tuple[Message, Message]] = {
    "chat": (
        {"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "x", "content": "21"},
    ),
    "responses": (
        {
            "role": "assistant",
            "content": [
                {"type": "reasoning", "summary": []},
                {"type": "function_call", "id": "fc", "call_id": "x", "name": "f"},
            ],
        },
        {"role": "tool", "content": [{"type": "function_call_output", "call_id": "x"}]},
    ),
    "anthropic": (
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "so"},
                {"type": "tool_use", "id": "x", "name": "f", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]},
    ),
    "gemini": (
        {"role": "model", "content": [{"functionCall": {"id": "x", "name": "f", "args": {}}}]},
        {"role": "user", "content": [{"functionResponse": {"id": "x", "name": "f"}}]},
    ),
    "bedrock": (
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "x", "name": "f"}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "x", "content": []}}]},
    ),
    "vercel": (
        {
            "role": "assistant",
            "content": [{"type": "tool-call", "toolCallId": "x", "toolName": "f", "input": {}}],
        },
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "x"}]},
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_tool_calls_is_read(shape: str) -> None:
    """The tool, its id, and its result are found, and the answer is known again in the prompt."""
    asked, answered = (
        encoded_segment("message", json.dumps(one).encode(), str(one["role"]))
        for one in SHAPES[shape]
    )
    first = encoded_segment("message", json.dumps(HELLO).encode(), "user")
    marks, tools = answer_of([asked])
    turn = turn_of([first, asked, answered])
    assert [(one.name, one.tool_id) for one in tools] == [("f", "x")]
    assert turn.results == ("x",)
    assert set(marks) & set(turn.answered)
    assert turn.before == turn_of([first]).chain
