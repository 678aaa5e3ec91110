"""ShareGPT chats, results of batches, and tau2 results whose head was stripped."""

import json

import pytest
from phasewise_collector.importers import batch_output, sharegpt, tau2_bench
from phasewise_store.facts import Batch

from tests.collector.importers.test_agent_tools import lines, messages, read


@pytest.mark.parametrize(("who", "what"), [("from", "value"), ("role", "content")])
@pytest.mark.parametrize("spread", [False, True])
def test_every_answer_of_a_chat_is_a_call(who: str, what: str, *, spread: bool) -> None:
    """It read what was said before; an answer to nothing is the rest of a longer chat."""
    names = {"from": ("human", "gpt"), "role": ("user", "assistant")}[who]
    turns = [{who: names[n % 2], what: said} for n, said in enumerate(["hi", "hello", "on", "yes"])]
    rest = [{who: names[1], what: "so it is"}, {who: names[0], what: "thanks"}]
    chats = [{"id": "x_0", "conversations": turns}, {"id": "x_1", "conversations": rest}]
    data = lines(chats) if spread else json.dumps(chats).encode()
    batch, _, skipped = read(sharegpt, data, "ShareGPT.json")
    assert skipped == []
    assert len(batch.sessions) == 1
    assert [call.step for call in batch.llm_calls] == [0, 1]
    assert [m["content"] for m in messages(batch.llm_calls[1])] == ["hi", "hello", "on"]
    assert {call.usage.origin for call in batch.llm_calls} == {"estimated"}


def test_openai_batch_results_are_calls_at_the_batch_tier() -> None:
    """Chat completions and responses; failed requests are counted and are no calls."""
    chat = {
        "id": "chatcmpl-1",
        "created": 1788000000,
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "y"}, "finish_reason": "stop"}
        ],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 10,
            "total_tokens": 1010,
            "prompt_tokens_details": {"cached_tokens": 128},
        },
    }
    answered = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1788000001,
        "model": "gpt-5.4",
        "output": [],
        "usage": {"input_tokens": 50, "input_tokens_details": {}, "output_tokens": 5},
    }
    rows = [
        {"id": f"b{n}", "custom_id": f"r{n}", "response": {"status_code": 200, "body": body}}
        for n, body in enumerate((chat, answered))
    ]
    refused = {"status_code": 400, "body": {"error": {"message": "no"}}}
    rows.append({"id": "b2", "custom_id": "r2", "response": refused})
    batch, notes, _ = read(batch_output, lines(rows), "batch_output.jsonl")
    assert [call.usage.input_tokens for call in batch.llm_calls] == [1000, 50]
    assert [call.provider for call in batch.llm_calls] == ["openai", "openai"]
    assert {call.usage.billing.service_tier for call in batch.llm_calls} == {"batch"}
    assert batch.llm_calls[0].usage.cache_read_tokens == 128
    assert batch.llm_calls[0].output
    assert any("1 requests failed" in note for note in notes)


def test_anthropic_batch_results_are_read_too() -> None:
    """A message stands in `result`; an expired request is no call."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": "yes"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 4},
    }
    rows = [
        {"custom_id": "a", "result": {"type": "succeeded", "message": message}},
        {"custom_id": "b", "result": {"type": "expired"}},
    ]
    batch, notes, _ = read(batch_output, lines(rows), "results.jsonl")
    (call,) = batch.llm_calls
    assert (call.usage.input_tokens, call.usage.cache_read_tokens) == (100, 90)
    assert (call.provider, call.response_id) == ("anthropic", "msg_1")
    assert len(notes) == 1


def tau2(*, head: bool) -> Batch:
    """Read a simulation of which the responses are kept, with and without the file's head."""

    def said(role: str, second: int, model: str, hit: int) -> dict[str, object]:
        usage = {"prompt_tokens": 500, "completion_tokens": 20}
        raw = {
            "id": f"r{second}",
            "model": model,
            "choices": [{"finish_reason": "stop", "index": 0}],
            "usage": {**usage, "prompt_tokens_details": {"cached_tokens": hit}},
        }
        at = f"2026-03-20T18:42:{second}"
        common = {"role": role, "content": "x", "tool_calls": None, "turn_idx": 0, "cost": 0.001}
        return {**common, "timestamp": at, "usage": usage, "raw_data": raw}

    greeting = {"role": "assistant", "content": "Hi!", "turn_idx": 0, "usage": None}
    told = [
        greeting,
        said("user", 33, "deepseek-chat", 0),
        said("assistant", 36, "gpt-4o-2024", 64),
    ]
    simulation = {"id": "s1", "task_id": "0", "policy": "You are an agent.", "messages": told}
    root: dict[str, object] = {"domain": "airline", "model": "claude-opus-4-6"}
    if head:
        info = {"agent_info": {"llm": "azure/gpt-4o"}, "user_info": {"llm": "gpt-4.1"}}
        root["info"] = {**info, "environment_info": {"domain_name": "airline", "policy": "You are"}}
    root["simulations"] = [simulation]
    data = json.dumps(root).encode()
    return read(tau2_bench, data, "run.json")[0]


def test_tau2_takes_model_and_usage_from_the_response() -> None:
    """What the head says is what was asked for; a dated name of it is the same model."""
    without, with_head = tau2(head=False), tau2(head=True)
    assert [call.model for call in without.llm_calls] == ["deepseek-chat", "gpt-4o-2024"]
    assert [call.model for call in with_head.llm_calls] == ["deepseek-chat", "gpt-4o"]
    assert [call.provider for call in with_head.llm_calls] == ["deepseek", "azure"]
    assert [call.usage.cache_read_tokens for call in without.llm_calls] == [0, 64]
    assert [agent.name for agent in without.agents] == ["airline-agent", "user-simulator"]
    assert messages(without.llm_calls[1])[0] == {"role": "system", "content": "You are an agent."}
