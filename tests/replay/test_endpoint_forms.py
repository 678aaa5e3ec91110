"""A chat in the form of Anthropic's messages and of OpenAI's Responses, byte for byte."""

import orjson
import pytest
from phasewise_replay.client import request_body
from phasewise_replay.client.endpoint_forms import EndpointForms
from phasewise_replay.client.request_body import PLAIN, SGLANG, VLLM, Dialect
from phasewise_replay.engine import Endpoint, Request

SYSTEM = b'{"role":"system","content":[{"type":"text","text":"be"},{"type":"text","text":"brief"}]}'
USER = b'{"role": "user", "content": "caf\xc3\xa9"}'
CALLS = (
    b'{"role":"assistant","content":"let me","tool_calls":[{"id":"a","type":"function","function":'
    b'{"name":"f","arguments":"{\\"n\\": 123456789012345678901234567890}"}},'
    b'{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]}'
)
RESULTS = (
    b'{"role":"tool","tool_call_id":"a","content":"one"}',
    b'{"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"two"}]}',
)
TOOL = b'{"type":"function","function":{"name":"f","description":"does f","parameters":{"a":1}}}'
BARE = b'{"type":"function","function":{"name":"g"}}'
CHAT = Request(
    *("r", "s", "c", 0, 12),
    messages=(SYSTEM, USER, CALLS, *RESULTS, USER),
    tools=(TOOL, BARE),
    cache_salt="salt",
)


def sent(endpoint: Endpoint, request: Request, dialect: Dialect) -> tuple[str, bytes]:
    """Give the path and the body."""
    there = EndpointForms(endpoint).rewritten(request)
    return request_body.completion(there, "m", dialect)


def test_a_chat_in_anthropic_s_form() -> None:
    """Results that answer one turn share a message, and arguments keep their digits."""
    path, body = sent("messages", CHAT, VLLM)
    assert path == "/v1/messages"
    found = orjson.loads(body.replace(b"123456789012345678901234567890", b"123"))
    tools, messages = found.pop("tools"), found.pop("messages")
    assert found == {
        "model": "m",
        "temperature": 0,
        "stream": True,
        "max_tokens": 12,
        "cache_salt": "salt",
        "tool_choice": {"type": "none"},
        "system": "be\nbrief",
    }
    assert messages == [
        {"role": "user", "content": "café"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "let me"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"n": 123}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "one"},
                {
                    "type": "tool_result",
                    "tool_use_id": "b",
                    "content": [{"type": "text", "text": "two"}],
                },
            ],
        },
        {"role": "user", "content": "café"},
    ]
    assert b'"input":{"n": 123456789012345678901234567890}' in body
    assert tools == [
        {"name": "f", "description": "does f", "input_schema": {"a": 1}},
        {
            "name": "g",
            "description": "",
            "input_schema": {"type": "object", "properties": {}},
        },
    ]


def test_a_chat_in_the_form_of_responses() -> None:
    """Calls and results are items of their own; nothing is kept by the server."""
    path, body = sent("responses", CHAT, VLLM)
    assert path == "/v1/responses"
    found = orjson.loads(body)
    tools, items = found.pop("tools"), found.pop("input")
    assert found == {
        "model": "m",
        "temperature": 0,
        "stream": True,
        "max_output_tokens": 12,
        "store": False,
        "ignore_eos": True,
        "cache_salt": "salt",
        "tool_choice": "none",
        "instructions": "be\nbrief",
    }
    arguments = '{"n": 123456789012345678901234567890}'
    assert items == [
        {"role": "user", "content": "café"},
        {"role": "assistant", "content": "let me"},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": arguments},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "one"},
        {"type": "function_call_output", "call_id": "b", "output": "two"},
        {"role": "user", "content": "café"},
    ]
    assert [tool["name"] for tool in tools] == ["f", "g"]
    assert tools[0] == {
        "type": "function",
        "name": "f",
        "description": "does f",
        "parameters": {"a": 1},
        "strict": False,
    }


@pytest.mark.parametrize("endpoint", ["messages", "responses"])
def test_a_plain_message_is_sent_byte_for_byte(endpoint: Endpoint) -> None:
    """With the spaces and letters that it was recorded with."""
    assert b"[" + USER + b"," in sent(endpoint, CHAT, PLAIN)[1]


@pytest.mark.parametrize("endpoint", ["messages", "responses"])
def test_a_chat_that_grows_keeps_its_items(endpoint: Endpoint) -> None:
    """At every message except in the middle of a turn's results, which share one."""
    forms = EndpointForms(endpoint)
    whole = forms.rewritten(CHAT).messages
    for end in range(2, len(CHAT.messages) + 1):
        part = Request(*("r", "s", "c", 0, 1), messages=CHAT.messages[:end])
        items = forms.rewritten(part).messages
        if CHAT.messages[end - 1] != RESULTS[0] or endpoint == "responses":
            assert whole[: len(items)] == items


def test_sglang_keeps_its_tools_and_gets_what_it_takes_off() -> None:
    """`none` would drop the tools; two tokens of a response's length are not generated."""
    assert orjson.loads(sent("messages", CHAT, SGLANG)[1])["tool_choice"] == {"type": "auto"}
    found = orjson.loads(sent("responses", CHAT, SGLANG)[1])
    assert (found["tool_choice"], found["max_output_tokens"]) == ("auto", 14)


def test_raw_prompts_keep_their_endpoint() -> None:
    """Only chats have a choice."""
    raw = Request(*("r", "s", "c", 0, 1), prompt="text")
    assert EndpointForms("messages").rewritten(raw) is raw
    assert sent("messages", raw, VLLM)[0] == "/v1/completions"
