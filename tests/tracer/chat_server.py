"""A loopback stand-in that speaks OpenAI's chat and Anthropic's messages formats, streams included.

It remembers the headers of each request and answers the same two words, with usage.
"""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 2,
    "total_tokens": 102,
    "prompt_tokens_details": {"cached_tokens": 64},
}
ANTHROPIC_USAGE = {
    "input_tokens": 30,
    "cache_creation_input_tokens": 6,
    "cache_read_input_tokens": 64,
    "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 4},
    "output_tokens": 2,
}
"""the same hundred tokens, as Anthropic counts them"""
FIRST_TOKEN_S = 0.05
_NUMBERS = itertools.count(1)


class ChatServer(ThreadingHTTPServer):
    """The server and what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.headers_seen: list[dict[str, str]] = []
        self.answered = 0

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatServer

    def do_POST(self) -> None:  # the base class's name
        """Answer a chat completion, whole or streamed."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.headers_seen.append({k.lower(): v for k, v in self.headers.items()})
        if "/refused/" in self.path:
            said = {"error": {"message": f"cannot read {json.dumps(body)}"}}
            self._send("application/json", json.dumps(said).encode(), status=400)
            return
        self.server.answered += 1
        if self.path.startswith("/v1/messages"):
            self._messages(stream=bool(body.get("stream")))
            return
        if body.get("stream"):
            self._stream(bool(body.get("stream_options", {}).get("include_usage")))
            return
        message = {"role": "assistant", "content": "good day"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        self._send(
            "application/json", json.dumps(_body("chat.completion", [choice], USAGE)).encode()
        )

    def _stream(self, with_usage: bool) -> None:
        time.sleep(FIRST_TOKEN_S)
        chunks = [
            _body("chat.completion.chunk", [{"index": 0, "delta": {"content": word}}], None)
            for word in ("good ", "day")
        ]
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        chunks.append(_body("chat.completion.chunk", [end], None))
        if with_usage:
            chunks.append(_body("chat.completion.chunk", [], USAGE))
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
        self._send("text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode())

    def _messages(self, *, stream: bool) -> None:
        identity = f"msg_{self.server.answered:024d}"
        message: dict[str, object] = {
            "id": identity,
            "type": "message",
            "role": "assistant",
            "model": "stand-in",
            "content": [{"type": "text", "text": "good day"}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": ANTHROPIC_USAGE,
        }
        if not stream:
            self._send("application/json", json.dumps(message).encode())
            return
        time.sleep(FIRST_TOKEN_S)
        begun = message | {"content": [], "stop_reason": None}
        begun["usage"] = ANTHROPIC_USAGE | {"output_tokens": 1}
        block = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": "good day"}
        ended = {"stop_reason": "end_turn", "stop_sequence": None}
        events: list[dict[str, object]] = [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ]
        lines = [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events]
        self._send("text/event-stream", "".join(lines).encode())

    def _send(self, content_type: str, body: bytes, *, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # the base class's
        """Say nothing."""


def _body(kind: str, choices: list[object], usage: object) -> dict[str, object]:
    return {
        "id": f"chatcmpl-{next(_NUMBERS):032x}",
        "object": kind,
        "created": 1,
        "model": "stand-in",
        "choices": choices,
        "usage": usage,
    }


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """Serve for the length of the block."""
    server = ChatServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
