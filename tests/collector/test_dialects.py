"""What spans of each convention become: calls, tokens, agents, sessions, prompts."""

import itertools
import json
from collections.abc import Mapping

import pytest
from phasewise_collector.dialects.content import content_of, take, without_content
from phasewise_collector.dialects.derive import Derived, derive
from phasewise_collector.dialects.usage import usage_of
from phasewise_collector.otlp import protobuf
from phasewise_store.facts import Usage

from tests.collector.otlp_for_tests import Made, request

OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "gpt-4o",
    "llm.system": "openai",
    "llm.token_count.prompt": 100,
    "llm.token_count.completion": 20,
    "llm.token_count.prompt_details.cache_read": 64,
    "llm.invocation_parameters": '{"model": "gpt-4o", "temperature": 0, "stream": true}',
    "input.value": json.dumps(
        {
            "model": "gpt-4o",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Grüße"},
            ],
            "tools": [{"type": "function", "function": {"name": "look"}}],
        }
    ),
    "output.value": json.dumps(
        {"choices": [{"message": {"role": "assistant", "content": "Hi", "tool_calls": None}}]}
    ),
}
GENAI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-11-20",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 64,
    "gen_ai.conversation.id": "conversation-1",
    "gen_ai.agent.name": "planner",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.system_instructions": '[{"type": "text", "content": "Be brief."}]',
    "gen_ai.input.messages": json.dumps(
        [
            {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
            {
                "role": "assistant",
                "parts": [
                    {"type": "tool_call", "id": "c1", "name": "look", "arguments": {"at": "Ulm"}}
                ],
            },
            {
                "role": "tool",
                "parts": [{"type": "tool_call_response", "id": "c1", "response": "rain"}],
            },
        ]
    ),
    "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": "Rain."}]}]
    ),
}
OLD_GENAI = {
    "gen_ai.system": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.prompt_tokens": 100,
    "gen_ai.usage.completion_tokens": 20,
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": "Hello",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "Hi",
}
ENGINE = {
    "gen_ai.latency.time_in_queue": 0.001,
    "gen_ai.latency.time_in_model_prefill": 0.030,
    "gen_ai.latency.time_in_model_decode": 0.060,
    "gen_ai.latency.time_to_first_token": 0.031,
    "gen_ai.usage.prompt_tokens": 100,
    "gen_ai.usage.completion_tokens": 20,
    "gen_ai.response.model": "tiny",
}


def derived(*spans: Made) -> Derived:
    """Derive facts from spans as they come over the wire."""
    received = protobuf.decode(request(*spans).SerializeToString()).spans
    return derive([take(span) for span in received])


def test_openinference_gives_the_request_verbatim() -> None:
    """Tools first, then each message as the JSON that was sent; the answer without nulls."""
    (call,) = derived(Made(1, attributes=OPENINFERENCE)).llm_calls
    assert [(part.kind, part.role) for part in call.prompt] == [
        ("tool", None),
        ("system", "system"),
        ("message", "user"),
    ]
    assert call.prompt[2].content == '{"role":"user","content":"Grüße"}'.encode()
    assert call.output[0].content == b'{"role":"assistant","content":"Hi"}'
    assert call.usage == Usage(uncached_tokens=36, cache_read_tokens=64, output_tokens=20)
    assert (call.provider, call.model, call.streamed) == ("openai", "gpt-4o", True)
    assert call.request == {"model": "gpt-4o", "temperature": 0, "stream": True}


def prompt_of(body: Mapping[str, object]) -> list[tuple[str, str | None, object]]:
    """Give the prompt of a request that OpenInference recorded: kind, role, and what it says."""
    found = content_of({"input.value": json.dumps(body)})
    assert found.fidelity == "verbatim"
    return [(part.kind, part.role, json.loads(part.content or b"")) for part in found.prompt]


def test_gemini_s_request_is_read_in_the_api_s_own_spelling() -> None:
    """`systemInstruction` in front of the contents, and each declared function a tool."""
    look = {"name": "look", "parameters": {"type": "OBJECT"}}
    call = {"functionCall": {"name": "look", "args": {}}}
    prompt = prompt_of(
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Weather?"}]},
                {"role": "model", "parts": [call]},
            ],
            "tools": [
                {"functionDeclarations": [look, {"name": "send"}], "codeExecution": {}},
                {"googleSearch": {}},
            ],
        }
    )
    assert prompt == [
        ("tool", None, look),
        ("tool", None, {"name": "send"}),
        ("tool", None, {"codeExecution": {}}),
        ("tool", None, {"googleSearch": {}}),
        ("system", "system", {"role": "system", "content": [{"text": "Be brief."}]}),
        ("message", "user", {"role": "user", "content": [{"text": "Weather?"}]}),
        ("message", "model", {"role": "model", "content": [call]}),
    ]


def test_google_s_sdk_writes_the_same_under_config() -> None:
    """Snake case, inside `config`: what the agent kit of Google records."""
    request = {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "config": {
            "system_instruction": "Be brief.",
            "tools": [{"function_declarations": [{"name": "look"}]}],
        },
    }
    found = content_of({"gcp.vertex.agent.llm_request": json.dumps(request)})
    assert [part.content for part in found.prompt] == [
        b'{"name":"look"}',
        b'{"role":"system","content":"Be brief."}',
        b'{"role":"user","content":[{"text":"Hi"}]}',
    ]


def test_items_of_the_responses_api_have_the_role_of_who_wrote_them() -> None:
    """Reasoning and calls are the model's, outputs the tool's; messages keep their own role."""
    prompt = prompt_of(
        {
            "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": "Weather?"},
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "rain"},
                {"type": "item_reference", "id": "msg_1"},
            ],
            "tools": [{"type": "function", "name": "look"}],
        }
    )
    assert [(kind, role) for kind, role, _ in prompt] == [
        ("tool", None),
        ("system", "system"),
        ("message", "user"),
        ("message", "assistant"),
        ("message", "assistant"),
        ("message", "tool"),
        ("message", "user"),
    ]


def test_opentelemetry_s_parts_become_chat_messages() -> None:
    """Text, tool calls and their results in order; session, agent and model by their new names."""
    (call,) = derived(Made(1, attributes=GENAI)).llm_calls
    messages = [json.loads(part.content or b"") for part in call.prompt]
    assert messages[0] == {"role": "system", "content": "Be brief."}
    assert messages[2]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":"Ulm"}'}
    assert messages[3] == {"role": "tool", "tool_call_id": "c1", "content": "rain"}
    assert json.loads(call.output[0].content or b"")["content"] == "Rain."
    assert (call.session_id, call.agent_id) == ("conversation-1", "conversation-1/planner")
    assert (call.model, call.finish_reason) == ("gpt-4o-2024-11-20", "stop")


def test_old_opentelemetry_names_are_read() -> None:
    """prompt_tokens, completion_tokens and the flattened messages; no word for the operation."""
    (call,) = derived(Made(1, attributes=OLD_GENAI)).llm_calls
    assert (call.usage.input_tokens, call.usage.output_tokens) == (100, 20)
    assert not call.usage.cache_reported
    assert json.loads(call.prompt[0].content or b"") == {"role": "user", "content": "Hello"}


def test_flattened_openinference_is_read_where_the_request_is_missing() -> None:
    """`llm.input_messages.N…` with tool calls are put back together."""
    attributes: Mapping[str, object] = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "m",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "Go",
        "llm.input_messages.1.message.role": "assistant",
        "llm.input_messages.1.message.tool_calls.0.tool_call.id": "c1",
        "llm.input_messages.1.message.tool_calls.0.tool_call.function.name": "look",
        "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments": "{}",
        "llm.tools.0.tool.json_schema": '{"name": "look"}',
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "Done",
    }
    (call,) = derived(Made(1, attributes=attributes)).llm_calls
    assert [part.kind for part in call.prompt] == ["tool", "message", "message"]
    assert json.loads(call.prompt[2].content or b"")["tool_calls"][0]["id"] == "c1"
    assert call.usage.origin == "estimated"


def test_the_engine_s_own_span_joins_the_call_it_served() -> None:
    """One call, not two: the program's tokens with the engine's queue, prefill and decode."""
    facts = derived(
        Made(1, attributes=OPENINFERENCE),
        Made(2, 1, "llm_request", ENGINE, service="unknown_service:python"),
    )
    (call,) = facts.llm_calls
    assert (call.queue_ns, call.engine_prefill_ns, call.engine_decode_ns) == (
        1_000_000,
        30_000_000,
        60_000_000,
    )
    assert call.usage.cache_read_tokens == 64
    assert len(facts.spans) == 2


def test_an_engine_s_span_without_a_caller_is_a_call_of_its_own() -> None:
    """Its own tokens and its own first token."""
    (call,) = derived(Made(2, None, "llm_request", ENGINE)).llm_calls
    assert (call.usage.input_tokens, call.model) == (100, "tiny")
    assert call.ttft_ns == 31_000_000


def test_the_first_token_is_taken_from_the_stream_s_event() -> None:
    """OpenInference writes an event when the first chunk arrives."""
    made = Made(1, attributes=OPENINFERENCE, events=[("First Token Stream Event", 40)])
    (call,) = derived(made).llm_calls
    assert call.ttft_ns == 40_000_000


def test_two_descriptions_of_one_call_are_one_call() -> None:
    """A framework's LLM span around the SDK's: the inner one counts, tokens are not doubled."""
    facts = derived(
        Made(1, attributes=GENAI), Made(2, 1, "ChatCompletion", attributes=OPENINFERENCE)
    )
    assert [call.span_id for call in facts.llm_calls] == ["0000000000000002"]


def test_agents_nest_and_tools_belong_to_them() -> None:
    """A sub-agent has its parent; a program without agent spans is named by its service."""
    agent = {"openinference.span.kind": "AGENT", "agent.name": "lead", "session.id": "s"}
    sub = {"openinference.span.kind": "AGENT", "agent.name": "scout"}
    tool = {"openinference.span.kind": "TOOL", "tool.name": "look"}
    facts = derived(
        Made(1, None, "lead", agent),
        Made(2, 1, "scout", sub),
        Made(3, 2, "look", tool, ms=7),
        Made(4, 2, attributes=OPENINFERENCE),
        Made(5, None, attributes=OPENINFERENCE, trace=1),
    )
    by_id = {one.agent_id: one for one in facts.agents}
    assert by_id["s/lead/scout"].parent_agent_id == "s/lead"
    assert facts.tool_calls[0].agent_id == "s/lead/scout"
    assert facts.tool_calls[0].duration_ns == 7_000_000
    assert facts.llm_calls[1].agent_id == "s/program"


def test_a_request_that_asks_no_model_is_no_call() -> None:
    """An SDK's list of models is called LLM by its instrumentor, and is plumbing."""
    attributes = {"openinference.span.kind": "LLM", "llm.system": "openai", "input.value": "{}"}
    assert not derived(Made(1, name="SyncPage[Model]", attributes=attributes)).llm_calls


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_of_arrival_gives_the_same_facts(order: tuple[int, ...]) -> None:
    """Spans one by one, those before read back from the store: a late parent changes nothing."""
    agent = {"openinference.span.kind": "AGENT", "agent.name": "lead", "session.id": "s"}
    spans = [
        Made(1, None, "lead", agent),
        Made(2, 1, attributes=OPENINFERENCE),
        Made(3, 2, "llm_request", ENGINE),
    ]
    whole = derived(*spans)
    known: list[Derived] = []
    for place in order:
        received = protobuf.decode(request(spans[place]).SerializeToString()).spans
        before = known[-1].spans if known else ()
        known.append(derive([*map(without_content, before), *map(take, received)]))
    last = known[-1]
    assert [call.call_id for call in last.llm_calls] == [call.call_id for call in whole.llm_calls]
    assert last.llm_calls[0].usage == whole.llm_calls[0].usage
    assert last.llm_calls[0].engine_prefill_ns == whole.llm_calls[0].engine_prefill_ns
    assert set(last.agents) == set(whole.agents)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            {"gen_ai.usage.input_tokens": "100", "gen_ai.usage.output_tokens": "5"},
            Usage(uncached_tokens=100, output_tokens=5, cache_reported=False),
        ),
        (
            {
                "gen_ai.usage.input_tokens": 10,
                "gen_ai.usage.cache_read.input_tokens": 90,
                "gen_ai.usage.output_tokens": 5,
            },
            Usage(
                uncached_tokens=10,
                cache_read_tokens=90,
                output_tokens=5,
                ambiguous=True,
                input_tokens_high=100,
            ),
        ),
        (
            {
                "gen_ai.usage.input_tokens": 100,
                "gen_ai.usage.cache_read.input_tokens": 60,
                "gen_ai.usage.cache_creation.input_tokens": 30,
                "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 10,
                "gen_ai.usage.output_tokens": 5,
                "gen_ai.usage.reasoning_tokens": 50,
            },
            Usage(10, 60, 20, 10, 55, 50),  # more thoughts than output: they stand beside it
        ),
        (
            {"gen_ai.usage.input_tokens": -3, "gen_ai.usage.output_tokens": "many"},
            Usage(origin="absent", cache_reported=False),
        ),
    ],
)
def test_usage_is_normalised_or_flagged(attributes: Mapping[str, object], expected: Usage) -> None:
    """Text numbers are read, cached beyond input is ambiguous and bounded, nonsense is absent."""
    assert usage_of(attributes) == expected
