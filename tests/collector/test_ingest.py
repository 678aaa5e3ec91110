"""Spans give the same calls in however many batches, and in whatever order, they come."""

import itertools
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from phasewise_collector import ingest
from phasewise_collector.loader import SOURCE
from phasewise_collector.otlp import protobuf
from phasewise_store import reads
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import Made, request

FRAMEWORK, SDK, WIRE = (
    "openinference.instrumentation.langchain",
    "openinference.instrumentation.openai",
    "phasewise.wire",
)
LLM = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o"}
REFUSED = "Error code: 400 - no such model"


def tokens(read: int, written: int) -> dict[str, object]:
    """Report tokens as OpenInference does."""
    return LLM | {"llm.token_count.prompt": read, "llm.token_count.completion": written}


def sent(*texts: str) -> dict[str, object]:
    """Write a prompt without saying what it used."""
    found: dict[str, object] = dict(LLM)
    for place, text in enumerate(texts):
        found[f"llm.input_messages.{place}.message.role"] = "user"
        found[f"llm.input_messages.{place}.message.content"] = text
    found["llm.output_messages.0.message.role"] = "assistant"
    found["llm.output_messages.0.message.content"] = "Yes"
    return found


def at_wire(status: int, read: int, written: int) -> dict[str, object]:
    """Give what the tracer writes of a request."""
    usage = {"usage": {"prompt_tokens": read, "completion_tokens": written}}
    return LLM | {"http.response.status_code": status, "phasewise.wire.usage": json.dumps(usage)}


AGENT = {"openinference.span.kind": "AGENT", "agent.name": "planner", "session.id": "s1"}
RUN = (
    Made(1, None, "planner", AGENT, ms=900),
    Made(2, 1, "ChatOpenAI", tokens(100, 20), start_ms=10, ms=110, scope=FRAMEWORK),
    Made(3, None, "ChatCompletion", tokens(100, 20), start_ms=14, trace=2, scope=SDK),
    Made(4, 1, "ChatOpenAI", sent("Go on"), start_ms=200, ms=120, scope=FRAMEWORK),
    Made(5, None, "ChatCompletion", sent("Go on"), start_ms=205, trace=3, scope=SDK),
    Made(6, 1, "ChatOpenAI", LLM, start_ms=400, ms=20, scope=FRAMEWORK, error=REFUSED),
    Made(7, None, "ChatCompletion", LLM, start_ms=405, ms=5, trace=4, scope=SDK, error=REFUSED),
    Made(8, 1, "ChatOpenAI", tokens(100, 20), start_ms=500, ms=110, scope=FRAMEWORK),
    Made(9, None, "ChatCompletion", tokens(100, 20), start_ms=504, trace=5, scope=SDK),
)
"""a run with two alike calls, a stream that reports nothing and a refusal, each described twice"""


def arrive(store: Store, *spans: Made) -> None:
    """Bring spans into the store as one batch."""
    received = protobuf.decode(request(*spans).SerializeToString()).spans
    with store.transaction() as connection:
        ingest.write(store, connection, ingest.prepare(store, received), SOURCE)


def calls(store: Store) -> list[dict[str, Any]]:
    """Give what the store says of its calls."""
    columns = ("session_id", "agent", "input_tokens", "output_tokens", "started_ns", "duration_ns")
    return sorted(
        ({name: row[name] for name in columns} for row in reads.llm_calls(store).to_dicts()),
        key=lambda call: call["started_ns"],
    )


def at_once(*spans: Made) -> list[dict[str, Any]]:
    """Give the calls of spans that come in one batch."""
    with Store.in_memory() as store:
        arrive(store, *spans)
        return calls(store)


def test_each_call_of_a_run_counts_once() -> None:
    """Four calls, in the framework's session, by its agent."""
    found = at_once(*RUN)
    assert [call["input_tokens"] for call in found][::3] == [100, 100]
    assert {(call["session_id"], call["agent"]) for call in found} == {("s1", "planner")}
    assert len(found) == 4


@cache
def whole() -> list[dict[str, Any]]:
    """Give the calls of the run in one batch."""
    return at_once(*RUN)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.permutations(RUN), st.sets(st.integers(1, len(RUN) - 1)))
def test_batches_in_any_order_give_what_one_gives(order: Sequence[Made], cuts: set[int]) -> None:
    """The spans of the run, shuffled and cut into batches: the same calls."""
    with Store.in_memory() as store:
        for begin, end in itertools.pairwise([0, *sorted(cuts), len(order)]):
            arrive(store, *order[begin:end])
        assert calls(store) == whole()
        used = store.frame("SELECT DISTINCT session_id FROM sessions").rows()
        assert used == [("s1",)]


def test_a_span_that_comes_again_with_more_in_it_replaces_the_first() -> None:
    """A snapshot, the whole span, the snapshot again: the whole span counts."""
    early = Made(1, attributes=tokens(100, 5), ms=100)
    whole = Made(1, attributes=tokens(100, 500), ms=400)
    with Store.in_memory() as store:
        for one in (early, whole, early):
            arrive(store, one)
        (call,) = calls(store)
        assert (call["output_tokens"], call["duration_ns"]) == (500, 400_000_000)


def test_each_request_at_the_wire_is_a_call() -> None:
    """A refused request and its retry under one span of the SDK, in a framework's: two calls."""
    found = at_once(
        Made(1, None, "ChatOpenAI", tokens(100, 20), ms=300, scope=FRAMEWORK),
        Made(2, 1, "ChatCompletion", tokens(100, 20), start_ms=1, ms=298, scope=SDK),
        Made(3, 2, "POST", at_wire(429, 0, 0), start_ms=2, ms=50, scope=WIRE, error="HTTP 429"),
        Made(4, 2, "chat", at_wire(200, 100, 20), start_ms=150, ms=140, scope=WIRE),
    )
    assert [call["output_tokens"] for call in found] == [0, 20]


def test_a_request_at_the_wire_gives_the_times() -> None:
    """Framework, SDK and wire tell of one request: one call, as long as it took there."""
    (call,) = at_once(
        Made(1, None, "ChatOpenAI", tokens(100, 20), ms=300, scope=FRAMEWORK),
        Made(2, 1, "ChatCompletion", tokens(100, 20), start_ms=10, ms=280, scope=SDK),
        Made(3, 2, "chat", at_wire(200, 100, 20), start_ms=20, ms=250, scope=WIRE),
    )
    assert call["duration_ns"] == 250_000_000


@pytest.mark.parametrize("error", [None, "Set the `ANTHROPIC_API_KEY` environment variable"])
def test_without_a_sign_of_a_request_there_is_no_call(error: str | None) -> None:
    """A step that prepares a prompt, a failure before anything was sent: no calls."""
    assert at_once(Made(1, None, "_prepare_chat_with_tools", LLM, ms=1, error=error)) == []


def test_an_agent_s_usage_counts_where_nothing_below_it_has_any() -> None:
    """Of an agent inside a chain, both with tokens, the agent's count, as one flagged call."""
    chain = tokens(300, 30) | {"openinference.span.kind": "CHAIN"}
    agent = tokens(300, 30) | {"openinference.span.kind": "AGENT"}
    tool = {"openinference.span.kind": "TOOL"}
    outer, inner = Made(1, None, "kickoff", chain), Made(2, 1, "run", agent, ms=90)
    with Store.in_memory() as store:
        arrive(store, outer, inner, Made(3, 2, "look", tool, ms=10))
        (call,) = reads.llm_calls(store).iter_rows(named=True)
        assert (call["input_tokens"], call["ambiguous"], call["span_id"]) == (
            300,
            True,
            f"{2:016x}",
        )
        arrive(store, Made(4, 2, "chat", tokens(200, 10), ms=50, scope=SDK))
        assert [one["input_tokens"] for one in calls(store)] == [200]
