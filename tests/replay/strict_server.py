"""A server that answers as vLLM does, and refuses what its parser and strict templates refuse."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.replay.chat_rules import refusal
from tests.replay.endpoint_rules import messages_refusal, responses_refusal
from tests.replay.loopback import JsonHandler, served

MODEL = "strict"
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
RULES: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    CHAT: refusal,
    MESSAGES: messages_refusal,
    RESPONSES: responses_refusal,
}


@dataclass
class Strict:
    """A running server: its address, and what it was asked and refused."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    """where each body went"""
    serves: Set[str] = frozenset({CHAT})
    refused: list[str] = field(default_factory=list)
    refuse_behind: int | None = None
    """refuses every chat after so many, whatever is in it"""
    silent_behind: int | None = None
    """leaves every chat after so many without an answer until the server ends"""
    ending: threading.Event = field(default_factory=threading.Event)


@contextmanager
def strict_server(
    *,
    refuse_behind: int | None = None,
    silent_behind: int | None = None,
    serves: Set[str] = frozenset({CHAT}),
) -> Iterator[Strict]:
    """Serve on a free port of the loopback interface until the block ends."""
    strict = Strict(refuse_behind=refuse_behind, silent_behind=silent_behind, serves=serves)

    class Handler(_Handler):
        state = strict

    with served(Handler) as strict.url:
        try:
            yield strict
        finally:
            strict.ending.set()


class _Handler(JsonHandler):
    state: Strict

    def get(self) -> None:
        """Tell the model; no other path is known."""
        if self.path.endswith("/models"):
            self.reply(200, {"data": [{"id": MODEL, "max_model_len": 32768}]})
        else:
            self.reply(404, {})

    def post(self, body: dict[str, Any]) -> None:
        """Refuse a request, or stream an answer of the length that was asked for."""
        state = self.state
        if self.path not in state.serves:
            self.reply(404, {})
            return
        if "model" not in body:
            self.reply(400, {"error": {"message": "no model", "type": "BadRequestError"}})
            return
        reason = RULES[self.path](body)
        state.paths.append(self.path)
        if state.refuse_behind is not None and len(state.bodies) >= state.refuse_behind:
            reason = f"request {len(state.bodies)} is one too many"
        if state.silent_behind is not None and len(state.bodies) >= state.silent_behind:
            state.bodies.append(body)
            state.ending.wait()
            return
        state.bodies.append(body)
        if reason is not None:
            state.refused.append(reason)
            self.reply(400, {"error": {"message": reason, "type": "BadRequestError"}})
            return
        self._stream(body)

    def _stream(self, body: Mapping[str, Any]) -> None:
        said = body.get("messages") or body["input"]
        read = sum(len(json.dumps(one)) for one in said) // 4
        written = body.get("max_tokens") or body["max_output_tokens"]
        events = {CHAT: _chat, MESSAGES: _messages, RESPONSES: _responses}[self.path](read, written)
        lines = [f"{_named(event)}data: {json.dumps(event)}\n\n" for event in events]
        lines += ["data: [DONE]\n\n"] * (self.path == CHAT)
        self.reply_bytes(200, "text/event-stream", "".join(lines).encode())


def _named(event: Mapping[str, Any]) -> str:
    return f"event: {event['type']}\n" if "type" in event else ""


def _chat(read: int, written: int) -> list[dict[str, Any]]:
    details = {"prompt_tokens_details": {"cached_tokens": 0}}
    usage = {"prompt_tokens": read, "completion_tokens": written} | details
    return [
        {"choices": [{"index": 0, "delta": {"content": "a"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
        {"choices": [], "usage": usage},
    ]


def _messages(read: int, written: int) -> list[dict[str, Any]]:
    usage = {"input_tokens": read - 5, "cache_read_input_tokens": 0, "output_tokens": 0}
    usage |= {"cache_creation_input_tokens": 5}
    return [
        {"type": "message_start", "message": {"usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "max_tokens"},
            "usage": {"output_tokens": written},
        },
        {"type": "message_stop"},
    ]


def _responses(read: int, written: int) -> list[dict[str, Any]]:
    usage = {"input_tokens": read, "output_tokens": written}
    usage_with_details = usage | {"input_tokens_details": {"cached_tokens": 0}}
    return [
        {"type": "response.created", "response": {"usage": None}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "a"},
        {"type": "response.completed", "response": {"usage": usage_with_details}},
    ]
