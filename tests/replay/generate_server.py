"""A server with vLLM's token-in token-out endpoint, as the source of vLLM 0.32 describes it.

Its tokens are the bytes of a chat in a template of its own.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.replay.loopback import JsonHandler, served

MODEL = "in-tokens"
GENERATE = "/inference/v1/generate"
VOCABULARY = 256
METRICS = 'vllm:cache_config_info{block_size="16",enable_prefix_caching="False"} 1.0\n'
NO_SCALE_OUT = (
    "Scale-out endpoints are disabled. Restart vllm serve with --enable-scale-out to enable them."
)
NO_REPLAY = (
    "trace_decode_token_ids is set but trace replay is not enabled. Start the engine with "
    "--enable-trace-replay to use it."
)
SPECULATES = (
    "tokens cannot be forced: InternalServerError, whose reason only vLLM's log has "
    "(speculative decoding is one)"
)
"""what a run makes of an error without a message, with which vLLM refuses when it speculates"""
OPENED, CLOSED, END = "<assistant>", "</assistant>", "\n"
CHUNK = 3
"""tokens that come together"""


@dataclass
class InTokens:
    """A running server: what it can do, and what it was asked."""

    url: str = ""
    scale_out: bool = True
    refuses: str | None = None
    """why it forces no tokens; empty where only its log says that"""
    ignores: bool = False
    """takes tokens to force and generates others"""
    slips: int | None = None
    """the number of the request, among those to generate, whose second token is another one"""
    thinks: str = ""
    """with what its template opens an answer, and does not keep it"""
    context_tokens: int = 32768
    keeps_history: bool = True
    """whether a prompt that goes on begins with the one before"""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """to generate, after the probe"""
    paths: set[str] = field(default_factory=set)


def in_bytes(text: str) -> list[int]:
    """Give the tokens of a text."""
    return list(text.encode())


@contextmanager
def in_tokens(**behaviour: Any) -> Iterator[InTokens]:  # noqa: ANN401  # fields of InTokens
    """Serve until the block ends."""
    found = InTokens(**behaviour)

    class Handler(_Handler):
        state = found

    with served(Handler) as found.url:
        yield found


class _Handler(JsonHandler):
    state: InTokens

    def get(self) -> None:
        """Tell the model, and that it is a vLLM."""
        if self.path.endswith("/models"):
            self.reply(200, {"data": [{"id": MODEL, "max_model_len": self.state.context_tokens}]})
        elif self.path == "/metrics":
            self.reply_bytes(200, "text/plain", METRICS.encode())
        else:
            self.reply(404, {})

    def post(self, body: dict[str, Any]) -> None:
        """Tokenize, or generate."""
        state = self.state
        if self.path == "/tokenize":
            self.reply(200, {"tokens": in_bytes(_rendered(state, body))})
        elif self.path == "/reset_prefix_cache":
            self.reply(200, {"success": True})
        elif self.path != GENERATE:
            state.paths.add(self.path)
            self.reply(404, {})
        elif not state.scale_out:
            self._refuse(403, NO_SCALE_OUT)
        elif not body.get("token_ids") or "sampling_params" not in body:
            self._refuse(400, "Field required")
        else:
            self._generate(body)

    def _generate(self, body: Mapping[str, Any]) -> None:
        state = self.state
        trace = body["sampling_params"].get("trace_decode_token_ids")
        refused = trace is not None and state.refuses is not None
        events = [_error(state.refuses)] if refused else self._events(body)
        lines = [f"data: {json.dumps(event)}\n\n" for event in events]
        self.reply_bytes(200, "text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode())

    def _events(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        state, sampling = self.state, body["sampling_params"]
        most = sampling.get("max_tokens", 16)
        written = [1] * most
        if not state.ignores:
            written = sampling.get("trace_decode_token_ids", written)[:most]
        if body["token_ids"] != [5, 6, 7, 8]:
            if len(state.bodies) == state.slips:
                written[1] += 1
            state.bodies.append(dict(body))
        read = len(body["token_ids"])
        usage = {"prompt_tokens": read, "completion_tokens": len(written)}
        usage |= {"total_tokens": read + len(written)}
        return [
            *_chunks(written, body),
            {
                "request_id": "generate-tokens-a",
                "usage": usage | {"prompt_tokens_details": {"cached_tokens": 0}},
                "output_mode": "tokens",
                "choices": [],
            },
        ]

    def _refuse(self, status: int, reason: str) -> None:
        self.reply(status, _error(reason))


def _error(reason: str | None) -> dict[str, Any]:
    kind = "BadRequestError" if reason else "InternalServerError"
    return {"error": {"message": reason, "type": kind, "param": None, "code": 400}}


def _chunks(written: list[int], body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(written), CHUNK):
        end = start + CHUNK
        choice = {
            "index": 0,
            "finish_reason": "length" if end >= len(written) else None,
            "stop_reason": None,
            "token_ids": written[start:end],
            "logprobs": None,
        }
        chunk = {"request_id": "generate-tokens-a", "usage": None, "choices": [choice]}
        if start == 0 and body.get("return_token_ids"):
            chunk["prompt_token_ids"] = body["token_ids"]
        yield chunk | {"output_mode": "tokens"}


def _rendered(state: InTokens, body: Mapping[str, Any]) -> str:
    """Write a chat, or a text, as the template of the model does."""
    if "messages" not in body:
        return ("^" if body.get("add_special_tokens", True) else "") + str(body["prompt"])
    messages = body["messages"]
    said = "".join(f"<{one['role']}>{_said(one)}</{one['role']}>{END}" for one in messages)
    if not state.keeps_history:
        said = f"{len(messages)} messages: {said}"
    opened = body.get("add_generation_prompt", True)
    return said + (OPENED + state.thinks if opened else "")


def _said(message: Mapping[str, Any]) -> str:
    return (message.get("content") or "") + "".join(
        one["function"]["name"] + one["function"]["arguments"]
        for one in message.get("tool_calls") or ()
    )
