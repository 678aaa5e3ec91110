"""A server that answers as vLLM does, and refuses what its parser and strict templates refuse."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.replay.chat_rules import refusal

MODEL = "strict"


@dataclass
class Strict:
    """A running server: its address, and what it was asked and refused."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    refuse_behind: int | None = None
    """refuses every chat after so many, whatever is in it"""
    silent_behind: int | None = None
    """leaves every chat after so many without an answer until the server ends"""
    ending: threading.Event = field(default_factory=threading.Event)


@contextmanager
def strict_server(
    *, refuse_behind: int | None = None, silent_behind: int | None = None
) -> Iterator[Strict]:
    """Serve on a free port of the loopback interface until the block ends."""
    strict = Strict(refuse_behind=refuse_behind, silent_behind=silent_behind)

    class Handler(_Handler):
        state = strict

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    strict.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield strict
    finally:
        strict.ending.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: Strict
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Tell the model; no other path is known."""
        if self.path.endswith("/models"):
            self._json(200, {"data": [{"id": MODEL, "max_model_len": 32768}]})
        else:
            self._json(404, {})

    def do_POST(self) -> None:
        """Refuse a chat, or stream an answer of the length that was asked for."""
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        if "messages" not in body or not self.path.endswith("/chat/completions"):
            self._json(404, {})
            return
        state = self.state
        reason = refusal(body)
        if state.refuse_behind is not None and len(state.bodies) >= state.refuse_behind:
            reason = f"request {len(state.bodies)} is one too many"
        if state.silent_behind is not None and len(state.bodies) >= state.silent_behind:
            state.bodies.append(body)
            state.ending.wait()
            return
        state.bodies.append(body)
        if reason is not None:
            state.refused.append(reason)
            self._json(400, {"error": {"message": reason, "type": "BadRequestError"}})
            return
        self._stream(body["max_tokens"], sum(len(json.dumps(one)) for one in body["messages"]) // 4)

    def _stream(self, written: int, read: int) -> None:
        usage = {
            "prompt_tokens": read,
            "completion_tokens": written,
            "prompt_tokens_details": {"cached_tokens": 0},
        }
        ended = {"index": 0, "delta": {}, "finish_reason": "length"}
        chunks: list[object] = [
            {"choices": [{"index": 0, "delta": {"content": "a"}}]},
            {"choices": [ended]},
            {"choices": [], "usage": usage},
        ]
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
        self._send(200, "text/event-stream", "".join(lines).encode())

    def _json(self, status: int, value: object) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
