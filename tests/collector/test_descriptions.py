"""Several spans that describe one call are one call, and say what was taken from which."""

import json
from pathlib import Path

import pytest
from phasewise_collector.loader import Loader
from phasewise_store import reads
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import Made, acceptor, request
from tests.collector.test_dialects import ENGINE, OPENINFERENCE, derived
from tests.collector.test_loader import post

NATIVE = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "claude-sonnet-4-5",
    "gen_ai.response.id": "msg_0123456789abcdefghij",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 64,
    "gen_ai.response.time_to_first_chunk": 0.03,
    "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 0,
}
CONTENT = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "claude-sonnet-4-5",
    "llm.system": "anthropic",
    "llm.token_count.prompt": 100,
    "llm.token_count.completion": 20,
    "input.value": json.dumps(
        {
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "Hi"}],
            "tools": [{"name": "x"}],
        }
    ),
    "output.value": json.dumps(
        {"id": "msg_0123456789abcdefghij", "role": "assistant", "content": "Yes?"}
    ),
}


def test_nested_descriptions_are_one_call() -> None:
    """A framework's span around the SDK's: cache from inside, prompt from outside."""
    outer = Made(1, attributes=CONTENT, ms=120, scope="openinference.instrumentation.anthropic")
    inner = Made(2, 1, "anthropic.messages.create", NATIVE, scope="com.anthropic.sdk.python")
    (call,) = derived(outer, inner).llm_calls
    assert (call.usage.input_tokens, call.usage.cache_read_tokens) == (100, 64)
    assert (call.ttft_ns, call.duration_ns) == (30_000_000, 100_000_000)
    assert [part.kind for part in call.prompt] == ["tool", "system", "message"]
    gave = {one.scope.split()[0]: one.gave for one in call.described_by}
    assert gave == {
        "com.anthropic.sdk.python": ("usage", "times"),
        "openinference.instrumentation.anthropic": ("prompt",),
    }


def test_separate_traces_of_one_response_are_one_call(tmp_path: Path, store: Store) -> None:
    """Two root spans in two traces and two batches, with one response id: merged, text kept."""
    content = Made(1, attributes=CONTENT, trace=1, scope="openinference.instrumentation.anthropic")
    native = Made(
        2, attributes=NATIVE, trace=2, scope="com.anthropic.sdk.python", start_ms=5, ms=90
    )
    with acceptor(tmp_path) as running:
        loader = Loader(store, tmp_path)
        for made in (content, native):
            post(running.address, request(made).SerializeToString())
            loader.load()
    (call,) = reads.llm_calls(store).iter_rows(named=True)
    assert (call["cache_read_tokens"], call["fidelity"]) == (64, "verbatim")
    assert len(reads.prompt(store, call["call_id"])) == 3
    assert len(json.loads(call["described_by"])) == 2
    assert store.frame("SELECT count(*) FROM sessions").item() == 1


@pytest.mark.parametrize("later", ["framework", "sdk"])
def test_an_orphan_twin_joins_its_framework_s_span(
    tmp_path: Path, store: Store, later: str
) -> None:
    """LangGraph's span and the OpenAI SDK's orphan: no id in common, one process, one moment."""
    agent = Made(9, None, "graph", {"openinference.span.kind": "AGENT"}, trace=1, ms=300)
    framework = Made(
        1,
        9,
        "ChatOpenAI",
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o",
            "llm.token_count.prompt": 100,
            "llm.token_count.completion": 20,
        },
        trace=1,
        ms=110,
        scope="openinference.instrumentation.langchain",
    )
    orphan = Made(
        2,
        attributes=OPENINFERENCE,
        trace=2,
        start_ms=4,
        scope="openinference.instrumentation.openai",
    )
    batches = [[agent, framework], [orphan]]
    with acceptor(tmp_path) as running:
        loader = Loader(store, tmp_path)
        for batch in batches if later == "sdk" else batches[::-1]:
            post(running.address, request(*batch).SerializeToString())
            loader.load()
    (call,) = reads.llm_calls(store).iter_rows(named=True)
    assert call["cache_read_tokens"] == 64
    assert call["agent"] == "graph"
    assert [part.role for part in reads.prompt(store, call["call_id"])] == [None, "system", "user"]


def test_parallel_calls_with_like_twins_stay_apart() -> None:
    """Three calls at once with equal tokens, each described twice: three calls."""
    spans = []
    for place in range(3):
        start = place * 10
        spans.append(
            Made(10 + place, None, "a", OPENINFERENCE, start_ms=start, ms=100, scope="one", trace=1)
        )
        spans.append(
            Made(
                20 + place,
                None,
                "b",
                OPENINFERENCE,
                start_ms=start + 1,
                ms=98,
                scope="two",
                trace=1,
            )
        )
    calls = derived(*spans).llm_calls
    assert [len(call.described_by) for call in calls] == [2, 2, 2]


def test_a_stream_that_was_handed_on_lasts_until_its_tokens_came() -> None:
    """LlamaIndex ends its span as it hands the stream on; OpenAI's, of another trace, begins later.

    The first token, an event of the ended span, shows that both were at it.
    """
    handed_on = Made(
        1,
        None,
        "OpenAILike.stream_chat",
        OPENINFERENCE,
        events=[("First Token Stream Event", 105)],
        ms=1,
        scope="openinference.instrumentation.llama_index",
    )
    wire = Made(
        2,
        attributes=OPENINFERENCE,
        events=[("First Token Stream Event", 101)],
        start_ms=4,
        ms=110,
        trace=2,
        scope="openinference.instrumentation.openai",
    )
    (call,) = derived(handed_on, wire).llm_calls
    assert (call.duration_ns, call.ttft_ns) == (110_000_000, 101_000_000)
    (alone,) = derived(handed_on).llm_calls
    assert (alone.duration_ns, alone.ttft_ns) == (105_000_000, 105_000_000)


def test_a_slow_start_does_not_lend_its_answer_to_the_next_call() -> None:
    """An SDK's span just before the next call is the first call's, however late it began."""
    first = Made(1, attributes=OPENINFERENCE, ms=1000, scope="framework", trace=1)
    inside = Made(2, attributes=OPENINFERENCE, start_ms=980, ms=20, scope="sdk", trace=2)
    following = Made(
        3, None, "other", OPENINFERENCE, start_ms=1001, ms=100, scope="framework", trace=3
    )
    calls = derived(first, inside, following).llm_calls
    assert [len(call.described_by) for call in calls] == [2, 1]


def test_one_id_for_every_answer_merges_nothing() -> None:
    """A test server that always answers `chatcmpl-1`: two calls of one instrumentor stay two."""
    attributes = OPENINFERENCE | {"gen_ai.response.id": "chatcmpl-1"}
    calls = derived(
        Made(1, attributes=attributes, scope="one"),
        Made(2, attributes=attributes, start_ms=20, scope="one"),
    ).llm_calls
    assert len(calls) == 2


def test_a_span_around_several_calls_is_no_call() -> None:
    """A retry inside one span, or an agent's loop: the calls inside count, the sum outside not."""
    outer = Made(1, attributes=OPENINFERENCE, ms=300, scope="framework")
    first = Made(2, 1, attributes=OPENINFERENCE, scope="sdk")
    second = Made(3, 1, attributes=OPENINFERENCE, start_ms=150, scope="sdk")
    assert len(derived(outer, first, second).llm_calls) == 2


def test_usage_on_agent_spans_is_not_summed() -> None:
    """Aggregated usage of an agent's span is no call."""
    agent = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "planner",
        "gen_ai.usage.input_tokens": 500,
        "gen_ai.usage.output_tokens": 90,
        "gen_ai.aggregated_usage.input_tokens": 500,
    }
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
    }
    found = derived(Made(1, None, "invoke_agent planner", agent), Made(2, 1, "chat", call))
    assert [one.usage.input_tokens for one in found.llm_calls] == [100]
    assert found.llm_calls[0].agent_id.endswith("/planner")


def test_an_engine_without_the_caller_s_trace_joins_by_the_response_id() -> None:
    """VLLM's request id begins with the id of the answer that the caller saw."""
    caller = OPENINFERENCE | {"gen_ai.response.id": "chatcmpl-0123456789abcdef0123456789abcdef"}
    engine = ENGINE | {"gen_ai.request.id": "chatcmpl-0123456789abcdef0123456789abcdef-0"}
    (call,) = derived(
        Made(1, attributes=caller, scope="sdk"),
        Made(2, None, "llm_request", engine, start_ms=5, ms=90, trace=7, service="vllm"),
    ).llm_calls
    assert call.engine_prefill_ns == 30_000_000
    assert call.usage.cache_read_tokens == 64
