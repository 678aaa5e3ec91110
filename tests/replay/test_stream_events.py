"""Streams of every endpoint, as vLLM 0.32, SGLang 0.5.23 and the APIs themselves send them."""

import json

import pytest
from phasewise_replay.client import streamed_answer
from phasewise_replay.engine import Answer

Event = dict[str, object]

VLLM_MESSAGES: list[Event] = [
    {
        "type": "message_start",
        "message": {"content": [], "usage": {"input_tokens": 358, "output_tokens": 0}},
    },
    {"type": "content_block_start", "content_block": {"type": "text", "text": ""}, "index": 0},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "let"}, "index": 0},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "content_block": {"type": "tool_use", "id": "c", "name": "f", "input": {}},
        "index": 1,
    },
    {
        "type": "content_block_delta",
        "delta": {"type": "input_json_delta", "partial_json": '{"a"'},
        "index": 1,
    },
    {
        "type": "content_block_delta",
        "delta": {"type": "input_json_delta", "partial_json": ": 1}"},
        "index": 1,
    },
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {
            "input_tokens": 6,
            "output_tokens": 12,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 352,
        },
    },
    {"type": "message_stop"},
]
SGLANG_MESSAGES: list[Event] = [
    {
        "type": "message_start",
        "message": {
            "usage": {"input_tokens": 1, "output_tokens": 0, "cache_read_input_tokens": 265}
        },
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "hm"},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "yes"}},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "max_tokens"},
        "usage": {"output_tokens": 12},
    },
    {"type": "message_stop"},
]
VLLM_RESPONSES: list[Event] = [
    {"type": "response.created", "response": {"tools": [{"name": "f"}], "usage": None}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}},
    {"type": "response.reasoning_text.delta", "output_index": 0, "delta": "hm"},
    {"type": "response.output_text.delta", "output_index": 0, "delta": "yes"},
    {
        "type": "response.output_item.added",
        "output_index": 1,
        "item": {"type": "function_call", "name": "f", "arguments": ""},
    },
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"a": 1}'},
    {"type": "response.function_call_arguments.done", "output_index": 1, "arguments": '{"a": 1}'},
    {
        "type": "response.completed",
        "response": {
            "usage": {
                "input_tokens": 362,
                "input_tokens_details": {"cached_tokens": 64},
                "output_tokens": 12,
            },
            "metrics": {
                "time_to_first_token_ms": 10.5,
                "generation_time_ms": 29.5,
                "queue_time_ms": 0.5,
            },
        },
    },
]


def encoded(stream: list[Event]) -> list[bytes]:
    """Give the data of each event."""
    return [json.dumps(event).encode() for event in stream]


def answer(stream: list[Event]) -> Answer:
    """Give the answer, without times of the client."""
    return streamed_answer.answer(
        encoded(stream), sent_ns=0, ttft_ns=None, duration_ns=1, error=None
    )


@pytest.mark.parametrize(
    ("stream", "counts"),
    [
        (VLLM_MESSAGES, (358, 352, 12)),
        (SGLANG_MESSAGES, (266, 265, 12)),
        (VLLM_RESPONSES, (362, 64, 12)),
    ],
)
def test_tokens_are_counted_with_those_of_the_cache(
    stream: list[Event], counts: tuple[int, int, int]
) -> None:
    """Anthropic's input count has none of them, and may be told at the start or at the end."""
    found = answer(stream)
    assert (found.input_tokens, found.cached_tokens, found.output_tokens) == counts
    assert found.error is None


@pytest.mark.parametrize(
    ("stream", "first"), [(VLLM_MESSAGES, 2), (SGLANG_MESSAGES, 1), (VLLM_RESPONSES, 2)]
)
def test_the_first_token_is_the_first_delta_with_output(stream: list[Event], first: int) -> None:
    """Blocks and items that are announced are none; reasoning is one."""
    contents = [streamed_answer.has_content(event) for event in encoded(stream)]
    assert contents.index(True) == first


def test_a_tool_call_is_output_before_its_arguments() -> None:
    """Its name is written by the model."""
    for event in (VLLM_MESSAGES[4], VLLM_RESPONSES[4]):
        assert streamed_answer.has_content(json.dumps(event).encode())


@pytest.mark.parametrize(
    ("stream", "text", "calls"),
    [
        (VLLM_MESSAGES, "let", [["f", '{"a": 1}']]),
        (SGLANG_MESSAGES, "hmyes", []),
        (VLLM_RESPONSES, "hmyes", [["f", '{"a": 1}']]),
    ],
)
def test_what_was_written_is_put_together(
    stream: list[Event], text: str, calls: list[list[str]]
) -> None:
    """Text and reasoning, and each call with all parts of its arguments, once."""
    written = json.loads(streamed_answer.output(encoded(stream)))
    assert written == {"text": text, "tool_calls": calls}


def test_vllm_s_own_times_come_with_the_end_of_a_response() -> None:
    """Queue, prefill and decode, in nanoseconds."""
    found = answer(VLLM_RESPONSES)
    assert (found.queue_ns, found.prefill_ns, found.decode_ns) == (500_000, 10_500_000, 29_500_000)


@pytest.mark.parametrize("stream", [VLLM_MESSAGES, SGLANG_MESSAGES, VLLM_RESPONSES])
def test_a_stream_without_its_last_event_is_cut(stream: list[Event]) -> None:
    """Whatever was told before."""
    assert answer(stream[:-1]).error == "the stream ended before the response was complete"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "error": {"type": "api_error", "message": "no memory"}},
        {"type": "error", "code": "server_error", "message": "no memory"},
        {"type": "response.failed", "response": {"error": {"message": "no memory"}}},
        {"error": {"message": "no memory"}},
    ],
)
def test_an_error_in_the_stream_is_the_error_of_the_call(event: Event) -> None:
    """In the words of the server."""
    assert answer([event]).error == "no memory"


def test_events_have_a_name_before_their_data() -> None:
    """Names are passed over, and data over several lines is one."""
    pieces = [(1, b"event: a\ndata: {}\n"), (2, b'\nevent: b\r\ndata: {"x":\r\ndata: 1}\r\n\r\n')]
    assert list(streamed_answer.events(pieces)) == [(2, b"{}"), (2, b'{"x":\n1}')]


def test_an_error_without_a_message_is_called_by_its_type() -> None:
    """As vLLM writes those whose reason is only in its log."""
    error = {"message": "", "type": "InternalServerError", "param": None, "code": 500}
    assert answer([{"error": error}]).error == "InternalServerError"
