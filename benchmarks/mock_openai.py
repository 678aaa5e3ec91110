"""A mock OpenAI server for load generators: `benchmarks/driver.py` starts it as a process.

It reads no prompt. Every stream gets one token per engine step, all streams at the same moment, as
from an engine with continuous batching. It works on asyncio protocols, so that one process serves
more than any of the clients can take. `GET /stamps` returns when each request came and when each
response ended, on the clock of `time.perf_counter_ns`, which is the same in all processes.
"""

import argparse
import asyncio
import json
import random
import time
from collections import defaultdict
from typing import cast

import uvloop

MODEL = "mock"
TOKEN = " token"
LENGTHS = 997
"""output lengths, from half to one and a half of the given one, the same for every client"""
MODELS = {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "mock"}]}
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ttft-ms", type=float, required=True)
    parser.add_argument("--tpot-ms", type=float, required=True)
    parser.add_argument("--output-tokens", type=int, required=True)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments))


async def serve(arguments: argparse.Namespace) -> None:
    """Listen on the loopback interface and take the engine's steps."""
    loop = asyncio.get_running_loop()
    steps = Steps(arguments.ttft_ms / 1e3, arguments.tpot_ms / 1e3, arguments.output_tokens)
    await loop.create_server(lambda: Connection(steps), "127.0.0.1", arguments.port, backlog=4096)
    step, began = 0, loop.time()
    while True:
        step += 1
        await asyncio.sleep(max(0.0, began + step * steps.tpot_s - loop.time()))
        steps.take()


class Steps:
    """The streams in flight, and what is written to each in a step."""

    def __init__(self, ttft_s: float, tpot_s: float, output_tokens: int) -> None:
        self.tpot_s = tpot_s
        self.came_ns: list[int] = []
        self.ended_ns: list[int] = []
        self._first_steps = max(1, round(ttft_s / tpot_s))
        lengths = range(output_tokens // 2, output_tokens * 3 // 2 + 1)
        self._tokens = random.Random(0).choices(lengths, k=LENGTHS)
        self._started = 0
        self._step = 0
        self._starting: dict[int, list[Connection]] = defaultdict(list)
        self._active: dict[Connection, int] = {}
        self._token = {chat: chunk(event(chat, TOKEN)) for chat in (True, False)}
        self._end = {chat: chunk(end(chat, output_tokens)) + b"0\r\n\r\n" for chat in (True, False)}

    def add(self, connection: "Connection") -> None:
        """Start a stream, whose first token comes after the given time to first token."""
        self._starting[self._step + self._first_steps].append(connection)

    def drop(self, connection: "Connection") -> None:
        """Forget the stream of a connection that was closed."""
        self._active.pop(connection, None)

    def take(self) -> None:
        """Write a token to every stream."""
        self._step += 1
        for connection in self._starting.pop(self._step, ()):
            connection.write(STREAM)
            self._active[connection] = self._tokens[self._started % len(self._tokens)]
            self._started += 1
        for connection, left in list(self._active.items()):
            if left > 1:
                self._active[connection] = left - 1
                connection.write(self._token[connection.chat])
            else:
                del self._active[connection]
                connection.write(self._token[connection.chat] + self._end[connection.chat])
                self.ended_ns.append(time.perf_counter_ns())


class Connection(asyncio.Protocol):
    """One client's connection: requests one after another."""

    def __init__(self, steps: Steps) -> None:
        self.chat = True
        self._steps = steps
        self._head = b""
        self._left = 0
        """bytes of the request's body that are to come"""
        self._path = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End its stream."""
        self._steps.drop(self)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Count the body's bytes; the head says how many there are."""
        if self._left:
            self._left -= len(data)
        else:
            self._head += data
            head, found, body = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._head = b""
            self._path = head.split(b" ", 2)[1]
            if head.startswith(b"POST"):
                self._steps.came_ns.append(time.perf_counter_ns())
            _, _, length = head.lower().partition(b"content-length:")
            self._left = int(length.split(b"\r\n", 1)[0] or b"0") - len(body)
        if not self._left:
            self._answer()

    def _answer(self) -> None:
        if self._path.endswith(b"/completions"):
            self.chat = self._path.endswith(b"/chat/completions")
            self._steps.add(self)
            return
        known: dict[bytes, object] = {
            b"/v1/models": MODELS,
            b"/health": {},
            b"/stamps": {"came_ns": self._steps.came_ns, "ended_ns": self._steps.ended_ns},
        }
        status = b"200 OK" if self._path in known else b"404 Not Found"
        body = json.dumps(known.get(self._path, {})).encode()
        kind = b"content-type: application/json"
        self.write(b"HTTP/1.1 %b\r\n%b\r\ncontent-length: %d\r\n\r\n" % (status, kind, len(body)))
        self.write(body)


def event(chat: bool, text: str) -> bytes:
    """Return the event of one token."""
    written = {"delta": {"content": text}} if chat else {"text": text}
    return data(chat, {"choices": [{"index": 0, **written, "finish_reason": None}]})


def end(chat: bool, output_tokens: int) -> bytes:
    """Return the events that end a stream."""
    written: dict[str, object] = {"delta": {}} if chat else {"text": ""}
    ended = {"index": 0, **written, "finish_reason": "length"}
    usage = {
        "prompt_tokens": 25_000,
        "completion_tokens": output_tokens,
        "total_tokens": 25_000 + output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    last = data(chat, {"choices": [], "usage": usage})
    return data(chat, {"choices": [ended]}) + last + b"data: [DONE]\n\n"


def data(chat: bool, fields: dict[str, object]) -> bytes:
    """Return an event with the fields that all events have."""
    kind = "chat.completion.chunk" if chat else "text_completion"
    fixed = {"id": "mock-1", "object": kind, "created": 1, "model": MODEL}
    return b"data: %b\n\n" % json.dumps(fixed | fields).encode()


def chunk(body: bytes) -> bytes:
    """Frame bytes as a chunk of HTTP/1.1."""
    return b"%x\r\n%b\r\n" % (len(body), body)


if __name__ == "__main__":
    main()
