"""What a span says of an exchange: which API it is, usage, times, errors, and nothing secret."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from phasewise.wire.description import ABANDONED, FIRST_TOKEN_NS, REQUEST_ID, USAGE, describe
from phasewise.wire.recognise import model_in

from tests.tracer.wire.exchanges import ASKED, OPENAI, exchange, sse

ANTHROPIC = "https://api.anthropic.com/v1/messages"
RESPONSES = "https://api.openai.com/v1/responses"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-v3%3A0"
USER = [{"role": "user", "content": "hi"}]
CHAT_CHUNKS: list[object] = [
    {"id": "c1", "model": "m-1", "choices": [{"index": 0, "delta": {"role": "assistant"}}]},
    {"id": "c1", "choices": [{"index": 0, "delta": {"content": ""}}]},
    {"id": "c1", "choices": [{"index": 0, "delta": {"content": "good "}}]},
    {"id": "c1", "choices": [{"index": 0, "delta": {"content": "day"}, "finish_reason": "stop"}]},
    {"id": "c1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}},
    "[DONE]",
]


def attributes(
    url: str,
    request_body: object,
    pieces: Iterable[bytes],
    *,
    headers: Mapping[str, str] | None = None,
    left: bool = False,
) -> dict[str, Any]:
    """Describe an exchange made of these."""
    described = describe(exchange(url, request_body, pieces, headers=headers, left=left))
    assert described is not None
    return described.attributes


def test_a_stream_s_first_token_is_its_first_output() -> None:
    """A role and an empty text come before it; the end is the last byte."""
    described = describe(exchange(OPENAI, ASKED, sse(*CHAT_CHUNKS)))
    assert described is not None
    assert described.attributes[FIRST_TOKEN_NS] == 3_000_000
    assert described.end_ns - described.start_ns == 6_000_000
    assert described.attributes["gen_ai.response.id"] == "c1"
    assert json.loads(str(described.attributes[USAGE])) == {
        "usage": {"prompt_tokens": 9, "completion_tokens": 2}
    }
    answer = json.loads(str(described.attributes["output.value"]))
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "good day"}
    assert described.attributes["gen_ai.response.finish_reasons"] == "stop"


def test_the_request_is_kept_to_the_byte() -> None:
    """Key order, spaces and escapes of the body are those that were sent."""
    sent = b'{ "messages":[{"content":"h\\u00e9","role":"user"}],"model": "m"}'
    kept = attributes(OPENAI, sent, [b'{"choices": []}'])
    assert kept["input.value"] == sent.decode()


@pytest.mark.parametrize(
    ("url", "request_body", "events", "first", "answer"),
    [
        (
            RESPONSES,
            {"model": "m", "input": "hi", "stream": True},
            [
                {"type": "response.created", "response": {"id": "r1", "output": []}},
                {"type": "response.output_item.added", "item": {"type": "message"}},
                {"type": "response.output_text.delta", "delta": "yes"},
                {
                    "type": "response.completed",
                    "response": {"id": "r1", "output": [{"type": "message"}], "usage": {}},
                },
            ],
            3,
            {"id": "r1", "output": [{"type": "message"}], "usage": {}},
        ),
        (
            ANTHROPIC,
            {"model": "m", "messages": USER, "stream": True},
            [
                {"type": "message_start", "message": {"type": "message", "usage": {"a": 1}}},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
                {"type": "ping"},
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": "yes"},
                },
                {"type": "message_delta", "delta": {"stop_reason": "end"}, "usage": {"b": 2}},
                {"type": "message_stop"},
            ],
            4,
            {
                "type": "message",
                "usage": {"a": 1, "b": 2},
                "content": [{"type": "text", "text": "yes"}],
                "stop_reason": "end",
            },
        ),
        (
            f"{GEMINI}:streamGenerateContent?alt=sse&key=SECRET",
            {"contents": [{"parts": [{"text": "hi"}]}]},
            [
                {"candidates": [{"content": {"parts": [{"text": ""}]}}]},
                {"candidates": [{"content": {"parts": [{"text": "a"}]}}]},
                {"candidates": [{"content": {"parts": [{"text": "b"}]}, "finishReason": "STOP"}]},
            ],
            2,
            {
                "candidates": [
                    {
                        "content": {"role": "model", "parts": [{"text": "ab"}]},
                        "finishReason": "STOP",
                    }
                ]
            },
        ),
    ],
    ids=["responses", "anthropic", "gemini"],
)
def test_streams_of_each_api(
    url: str, request_body: object, events: list[object], first: int, answer: object
) -> None:
    """The first event with output is the first token; what is assembled is the whole answer."""
    found = attributes(url, request_body, sse(*events))
    assert found[FIRST_TOKEN_NS] == first * 1_000_000
    assert json.loads(found["output.value"]) == answer
    assert "SECRET" not in json.dumps(found)


def test_a_function_s_name_is_output_though_its_text_comes_later() -> None:
    """OpenAI's item, Anthropic's block: both name the tool before its input."""
    item = {"type": "response.output_item.added", "output_index": 0}
    found = attributes(
        RESPONSES,
        {"model": "m", "input": "hi", "stream": True},
        sse({"type": "response.created"}, item | {"item": {"type": "function_call", "name": "f"}}),
    )
    assert found[FIRST_TOKEN_NS] == 2_000_000
    block = {"type": "content_block_start", "index": 0}
    delta = {"type": "input_json_delta", "partial_json": '{"a": 1}'}
    found = attributes(
        ANTHROPIC,
        {"model": "m", "messages": USER, "stream": True},
        sse(
            {"type": "message_start", "message": {"type": "message"}},
            block | {"content_block": {"type": "tool_use", "name": "f", "input": {}}},
            {"type": "content_block_delta", "index": 0, "delta": delta},
        ),
    )
    assert found[FIRST_TOKEN_NS] == 2_000_000
    assert json.loads(found["output.value"])["content"][0]["input"] == {"a": 1}


def frame(name: str, payload: object) -> bytes:
    """Write an event of Amazon's stream; its checksums are not looked at."""
    header = b"\x0b:event-type\x07" + len(name).to_bytes(2, "big") + name.encode()
    body = json.dumps(payload).encode()
    total = 12 + len(header) + len(body) + 4
    head = total.to_bytes(4, "big") + len(header).to_bytes(4, "big")
    return head + b"\0\0\0\0" + header + body + b"\0\0\0\0"


def test_bedrock_s_binary_stream() -> None:
    """Frames cut anywhere; a tool's input in pieces, usage at the end, the model in the address."""
    use = {"toolUse": {"toolUseId": "t", "name": "f"}}
    frames = [
        frame("messageStart", {"role": "assistant"}),
        frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "yes"}}),
        frame("contentBlockStart", {"contentBlockIndex": 1, "start": use}),
        *(
            frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": x}}})
            for x in ('{"a":', " 1}")
        ),
        frame("messageStop", {"stopReason": "tool_use"}),
        frame("metadata", {"usage": {"inputTokens": 9, "outputTokens": 2}}),
    ]
    cut = len(frames[0]) + 20
    whole = b"".join(frames)
    found = attributes(
        f"{BEDROCK}/converse-stream",
        {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
        [whole[:cut], whole[cut:]],
        headers={"content-type": "application/vnd.amazon.eventstream"},
    )
    assert found["phasewise.wire.api"] == "bedrock.converse"
    assert found["gen_ai.request.model"] == "anthropic.claude-v3:0"
    assert found[FIRST_TOKEN_NS] == 2_000_000
    assert json.loads(found["output.value"])["output"]["message"]["content"] == [
        {"text": "yes"},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
    ]


def test_gemini_s_stream_as_an_array() -> None:
    """Without `alt=sse` the answer is one JSON array, whose objects come one by one."""
    pieces = [
        b'[{"candidates": [{"content": {"parts": [{"text": "\xc3',
        b'\xa9"}]}}]}\n',
        b',{"usageMetadata": {"promptTokenCount": 9}}]',
    ]
    found = attributes(f"{GEMINI}:streamGenerateContent", {"contents": "hi"}, pieces)
    assert found[FIRST_TOKEN_NS] == 2_000_000
    assert "é" in found["output.value"]


@pytest.mark.parametrize(
    ("url", "request_body", "answer"),
    [
        (f"{ANTHROPIC}/count_tokens", {"model": "m", "messages": USER}, {"input_tokens": 9}),
        (f"{GEMINI}:countTokens", {"contents": "hi"}, {"totalTokens": 9}),
        ("https://api.openai.com/v1/moderations", {"model": "m", "input": "hi"}, {"results": []}),
        ("http://localhost/tokenize", {"model": "m", "prompt": "hi"}, {"tokens": [1]}),
        ("http://localhost/search", {"query": "messages", "input": "hi"}, {"output": []}),
        ("http://localhost/chat", {"model": "m", "messages": USER}, {"ok": True}),
    ],
)
def test_like_requests_are_no_calls(url: str, request_body: object, answer: object) -> None:
    """Counting, moderating, tokenizing, and servers of another kind."""
    assert describe(exchange(url, request_body, [json.dumps(answer).encode()])) is None


def test_an_unknown_address_is_known_by_the_bodies() -> None:
    """A gateway under a path of its own."""
    answer = {"choices": [{"message": {"role": "assistant", "content": "yes"}}]}
    found = attributes(
        "http://gateway.local/llm", ASKED | {"stream": False}, [json.dumps(answer).encode()]
    )
    assert found["phasewise.wire.api"] == "openai.chat"


def test_embeddings_are_no_chat() -> None:
    """Named as what they are, without their vectors and their text."""
    answer = {"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 9}, "model": "e"}
    found = attributes(
        "https://api.openai.com/v1/embeddings",
        {"model": "e", "input": "hi"},
        [json.dumps(answer).encode()],
    )
    assert found["gen_ai.operation.name"] == "embeddings"
    assert not {"input.value", "output.value"} & set(found)


def test_keys_and_headers_are_not_kept() -> None:
    """Of the headers the provider's request id alone; the address without user and query."""
    found = attributes(
        "https://user:SECRET@api.openai.com/v1/chat/completions?api-key=SECRET",
        ASKED,
        sse(*CHAT_CHUNKS),
        headers={"x-request-id": "req-1", "set-cookie": "SECRET", "openai-organization": "SECRET"},
    )
    assert found["url.full"] == OPENAI
    assert found[REQUEST_ID] == "req-1"
    assert "SECRET" not in json.dumps(found)


def test_a_refused_call_says_why() -> None:
    """Status and the text of the body; the word that may leave in every mode quotes nothing."""
    body = json.dumps({"error": {"message": "too long: hello", "type": "bad"}}).encode()
    described = describe(exchange(OPENAI, ASKED, [body], status=400))
    assert described is not None
    assert described.error == "HTTP 400: too long: hello"
    assert described.failed_with == "HTTP 400"


def test_a_refused_call_whose_text_nobody_read_has_failed() -> None:
    """An SDK that sends it again closes the refusal unread: the program did not leave the call."""
    described = describe(exchange(OPENAI, ASKED, [], status=500, left=True))
    assert described is not None
    assert described.error == "HTTP 500"
    assert ABANDONED not in described.attributes


def test_an_error_inside_a_stream_is_an_error() -> None:
    """Status 200, and then Anthropic's `error` event."""
    events = [
        {"type": "message_start", "message": {"type": "message"}},
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    ]
    described = describe(
        exchange(ANTHROPIC, {"model": "m", "messages": USER, "stream": True}, sse(*events))
    )
    assert described is not None
    assert described.error == "Overloaded"


def test_a_stream_that_the_program_left_is_marked() -> None:
    """It ends when the program left; one left after its last content is none."""
    described = describe(exchange(OPENAI, ASKED, sse(*CHAT_CHUNKS[:3]), left=True))
    assert described is not None
    assert described.attributes[ABANDONED] is True
    assert described.end_ns - described.start_ns == 13_000_000
    whole = attributes(OPENAI, ASKED, sse(*CHAT_CHUNKS[:4]), left=True)
    assert ABANDONED not in whole


def test_a_cancelled_task_has_left() -> None:
    """No answer came, as the program wanted none: a call that is marked, and no failed one.

    One that was cancelled before it went out is no call.
    """
    cancelled = exchange(OPENAI, ASKED, [], status=None, error=asyncio.CancelledError())
    assert describe(cancelled) is None
    cancelled.was_sent = True
    described = describe(cancelled)
    assert described is not None
    assert described.error is None
    assert described.attributes[ABANDONED] is True


def test_a_request_that_found_no_server_is_no_call() -> None:
    """Nothing was sent; one that was sent and not answered in time is a failed call."""

    class ConnectError(Exception):
        pass

    class ReadTimeout(Exception):  # noqa: N818  # httpx's name
        pass

    assert describe(exchange(OPENAI, ASKED, [], status=None, error=ConnectError())) is None
    described = describe(exchange(OPENAI, ASKED, [], status=None, error=ReadTimeout("slow")))
    assert described is not None
    assert described.error == "ReadTimeout: slow"


def deflated(data: bytes) -> bytes:
    """Compress as `deflate` was first misread: without zlib's header."""
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(data) + made.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", deflated),
        ("zstd", zstandard.compress),
        ("gzip", bytes),
    ],
    ids=["gzip", "deflate", "deflate-raw", "zstd", "decompressed-by-the-client"],
)
def test_compressed_answers_are_read(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    """Whole or cut in two; also where the client has decompressed it and left the header."""
    packed = compress(json.dumps({"choices": [], "id": "c1"}).encode())
    for pieces in ([packed], [packed[:9], packed[9:]]):
        found = attributes(
            OPENAI, ASKED | {"stream": False}, pieces, headers={"content-encoding": encoding}
        )
        assert found["gen_ai.response.id"] == "c1"


def test_what_cannot_be_decompressed_is_marked() -> None:
    """The call is there, without its answer."""
    found = attributes(OPENAI, ASKED, [b"\x1f\x8bbroken"], headers={"content-encoding": "gzip"})
    assert found["phasewise.truncated"] is True
    assert "output.value" not in found


@given(st.lists(st.integers(1, 60), max_size=8))
def test_where_a_stream_is_cut_changes_nothing(cuts: list[int]) -> None:
    """Any chunking gives the same answer and usage."""
    whole = b"".join(sse(*CHAT_CHUNKS))
    pieces, place = [], 0
    for size in cuts:
        pieces.append(whole[place : place + size])
        place += size
    pieces.append(whole[place:])
    found, plain = attributes(OPENAI, ASKED, pieces), attributes(OPENAI, ASKED, [whole])
    assert found | {FIRST_TOKEN_NS: 0} == plain | {FIRST_TOKEN_NS: 0}


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent", "gemini-2.5-flash"),
        ("/model/anthropic.claude-v3%3A0/converse", "anthropic.claude-v3:0"),
        ("/model/anthropic.claude-v3:0/invoke", "anthropic.claude-v3:0"),
        (
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.claude/converse",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.claude",
        ),
        ("/openai/deployments/my-gpt/chat/completions", "my-gpt"),
        ("/v1/chat/completions", None),
    ],
)
def test_a_model_that_stands_in_the_address(path: str, model: str | None) -> None:
    """Gemini's method, Bedrock's version and profiles, Azure's deployments."""
    assert model_in(path) == model
