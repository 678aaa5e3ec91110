"""The driver in real time on a server in this process that behaves as its script says."""

import _thread
import contextlib
import gc
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Literal

import pytest
from phasewise_replay.client.openai_channel import OpenAiChannel
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import PLAIN
from phasewise_replay.driving.due import Due
from phasewise_replay.driving.real_time_driver import drive
from phasewise_replay.engine import Answer, Request
from phasewise_replay.engines.fake import FakeChannel
from phasewise_store.errors import EngineError

Action = bytes | float | Literal["close", "reset"]
"""bytes are written, seconds are waited for"""
Script = Callable[[int], Sequence[Action]]
"""what is done for a request, by its number"""

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
END = (
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)


def chunk(body: bytes) -> bytes:
    """Frame bytes as a chunk."""
    return b"%x\r\n%b\r\n" % (len(body), body)


WHOLE: list[Action] = [HEAD, chunk(TOKEN), chunk(END) + b"0\r\n\r\n"]


@dataclass
class Server:
    """A running server: its address, and what it was asked."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    aborted: threading.Event = field(default_factory=threading.Event)
    """a client has closed a connection in the middle of a response"""

    def client(self) -> OpenAiClient:
        """Return a client that needs no model's name."""
        return OpenAiClient(self.url, dialect=PLAIN)


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    """Serve on a free port of the loopback interface until the block ends."""
    server = Server()
    counting = threading.Lock()

    class Connection(StreamRequestHandler):
        def handle(self) -> None:
            with counting:
                server.connections += 1
            with contextlib.suppress(ConnectionError):
                while head := self._head():
                    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                    body = self.rfile.read(length)
                    with counting:
                        number = len(server.bodies)
                        server.bodies.append(body)
                    if not all(self._does(action) for action in script(number)):
                        return

        def _head(self) -> bytes:
            lines: list[bytes] = []
            while (line := self.rfile.readline()) not in (b"", b"\r\n"):
                lines.append(line)
            return b"".join(lines)

        def _does(self, action: Action) -> bool:
            """Return whether the connection goes on."""
            if isinstance(action, bytes):
                self.wfile.write(action)
            elif isinstance(action, float):
                if select.select([self.connection], [], [], action)[0]:
                    server.aborted.set()
                    return False
            else:
                linger = struct.pack("ii", action == "reset", 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return False
            return True

    with ThreadingTCPServer(("127.0.0.1", 0), Connection) as listening:
        listening.daemon_threads = True
        server.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        listening.shutdown()


def chain(name: str, calls: int, wait_ns: int = 0) -> list[Due]:
    """Make a session whose prompts grow."""
    return [
        Due(
            Request(
                f"{name}{step}",
                name,
                f"{name}{step}",
                step,
                2,
                messages=tuple(b'{"role":"user","content":"%d"}' % n for n in range(step + 1)),
            ),
            wait_ns,
            (step - 1,) if step else (),
        )
        for step in range(calls)
    ]


@dataclass
class Log:
    """What the driver has told."""

    sent: list[str] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    lag_ns: list[int] = field(default_factory=list)

    def drive(
        self, sessions: Sequence[Sequence[Due]], channel: OpenAiChannel, concurrency: int = 1
    ) -> None:
        """Drive sessions and keep what is told."""

        def answered(request: Request, answer: Answer, lag_ns: int) -> None:
            self.answers[request.request_id] = answer
            self.lag_ns.append(lag_ns)

        drive(
            sessions,
            channel,
            sent=lambda request: self.sent.append(request.request_id),
            answered=answered,
            concurrency=concurrency,
        )


def test_sessions_at_once_share_connections_and_every_call_is_answered_once() -> None:
    """Three sessions of four calls, two at a time: two connections, twelve answers with times."""
    log = Log()
    with serving(lambda number: WHOLE) as server:
        log.drive([chain(name, 4) for name in "abc"], OpenAiChannel(server.client()), 2)
    assert server.connections == 2
    assert sorted(log.sent) == sorted(f"{name}{step}" for name in "abc" for step in range(4))
    assert {(one.error, one.input_tokens, one.output_tokens) for one in log.answers.values()} == {
        (None, 3, 2)
    }
    for one in log.answers.values():
        assert one.ttft_ns is not None
        assert 0 < one.ttft_ns <= one.duration_ns
    for name in "abc":
        own = [one for one in log.sent if one.startswith(name)]
        assert own == sorted(own)


def test_the_time_to_first_token_is_when_its_bytes_came() -> None:
    """The response's head comes at once, its first token after 50 ms, in two pieces."""
    half = chunk(TOKEN)
    script: list[Action] = [HEAD, 0.05, half[:20], 0.05, half[20:], chunk(END) + b"0\r\n\r\n"]
    log = Log()
    with serving(lambda number: script) as server:
        log.drive([chain("a", 1)], OpenAiChannel(server.client()))
    assert (log.answers["a0"].ttft_ns or 0) >= 100_000_000


def test_a_call_waits_for_its_tools_and_its_lag_is_from_then() -> None:
    """Two waits of 30 ms pass; the wait itself is no lag."""
    log = Log()
    began = time.perf_counter_ns()
    with serving(lambda number: WHOLE) as server:
        log.drive([chain("a", 2, wait_ns=30_000_000)], OpenAiChannel(server.client()))
    assert time.perf_counter_ns() - began >= 60_000_000
    assert all(0 <= lag_ns < 30_000_000 for lag_ns in log.lag_ns)


def test_a_connection_that_is_reset_before_the_first_byte_is_sent_again_once() -> None:
    """The second request of a connection is lost; the third of its kind is not sent again."""
    log = Log()
    with serving(lambda number: ["reset"] if number == 1 else WHOLE) as server:
        log.drive([chain("a", 2)], OpenAiChannel(server.client()))
    assert [one.error for one in log.answers.values()] == [None, None]
    assert server.bodies[1] == server.bodies[2]
    lost = Log()
    with serving(lambda number: ["reset"]) as server:
        lost.drive([chain("a", 1)], OpenAiChannel(server.client()))
    assert len(server.bodies) == 2
    assert (lost.answers["a0"].error or "").startswith("ServerClosedError: ")


def test_a_response_that_is_cut_is_not_sent_again() -> None:
    """Its error says so, and the session goes on over a new connection."""
    log = Log()
    cut: list[Action] = [HEAD, chunk(TOKEN), 0.01, "reset"]
    with serving(lambda number: cut if number == 0 else WHOLE) as server:
        log.drive([chain("a", 2)], OpenAiChannel(server.client()))
    assert len(server.bodies) == 2
    assert "before the response was complete" in (log.answers["a0"].error or "")
    assert log.answers["a0"].ttft_ns is not None
    assert log.answers["a1"].error is None


def test_a_response_that_ends_with_its_connection_is_whole() -> None:
    """HTTP/1.0 servers and some proxies frame no body."""
    script: list[Action] = [b"HTTP/1.1 200 OK\r\n\r\n" + TOKEN + END, "close"]
    log = Log()
    with serving(lambda number: script) as server:
        log.drive([chain("a", 2)], OpenAiChannel(server.client()))
    assert [one.error for one in log.answers.values()] == [None, None]
    assert server.connections == 2


def test_a_refusal_is_an_error_with_the_server_s_words() -> None:
    """Its connection is used again."""
    refused = b'{"error":{"message":"too long"}}'
    head = b"HTTP/1.1 400 Bad Request\r\ncontent-length: %d\r\n\r\n" % len(refused)
    log = Log()
    with serving(lambda number: [head + refused] if number == 0 else WHOLE) as server:
        log.drive([chain("a", 2)], OpenAiChannel(server.client()))
    assert server.connections == 1
    assert log.answers["a0"].error == "HTTP 400: too long"
    assert log.answers["a1"].error is None


def test_no_server_is_an_error_of_every_call() -> None:
    """Nothing is raised: the engine says whether it has died."""
    with serving(lambda number: WHOLE) as server:
        client = server.client()
    log = Log()
    log.drive([chain("a", 2)], OpenAiChannel(client))
    assert [(one.error or "").split(":")[0] for one in log.answers.values()] == [
        "ConnectionRefusedError"
    ] * 2


def test_a_silent_server_is_given_up() -> None:
    """No byte for the client's time ends the call, not the run."""
    log = Log()
    with serving(lambda number: [5.0] if number == 0 else WHOLE) as server:
        client = OpenAiClient(server.url, dialect=PLAIN, timeout_s=0.1)
        log.drive([chain("a", 2)], OpenAiChannel(client))
    assert [one.error for one in log.answers.values()] == ["no data for 0.1 s", None]


def test_an_engine_that_has_died_ends_the_run() -> None:
    """What `checked` raises comes out of `drive`, and calls in flight are dropped."""

    def checked(answer: Answer) -> Answer:
        if answer.error is not None:
            raise EngineError("vLLM exited: out of memory")
        return answer

    cut: list[Action] = [HEAD, "reset"]
    with serving(lambda number: cut if number == 3 else WHOLE) as server:
        channel = OpenAiChannel(server.client(), checked=checked)
        with pytest.raises(EngineError, match="out of memory"):
            Log().drive([chain("a", 1000), chain("b", 1000)], channel, 2)
    assert len(server.bodies) < 2000


def test_ctrl_c_ends_a_run_at_once_and_aborts_what_is_in_flight() -> None:
    """The server would answer in a minute; it sees its connection closed."""

    def script(number: int) -> Sequence[Action]:
        threading.Timer(0.05, _thread.interrupt_main).start()
        return [HEAD, 60.0]

    began = time.monotonic()
    with serving(script) as server:
        with pytest.raises(KeyboardInterrupt):
            Log().drive([chain("a", 2)], OpenAiChannel(server.client()))
        assert server.aborted.wait(5)
    assert time.monotonic() - began < 5
    assert len(server.bodies) == 1


def test_followers_are_sent_before_an_answer_is_read() -> None:
    """Reading an answer takes as long as it takes; the next call is not held up by it."""
    second = threading.Event()

    def serve(request: Request) -> Answer:
        if request.step == 1:
            second.set()
        return Answer(sent_ns=1, duration_ns=1)

    def answered(request: Request, answer: Answer, lag_ns: int) -> None:
        assert second.wait(10)

    drive([chain("a", 2)], FakeChannel(serve), sent=lambda request: None, answered=answered)


def test_python_s_pauses_are_short_while_calls_are_in_flight() -> None:
    """The cycle collector passes over old objects; after the run everything is as before."""
    before = sys.getswitchinterval(), gc.get_freeze_count()
    meanwhile: list[tuple[float, int]] = []

    def answered(request: Request, answer: Answer, lag_ns: int) -> None:
        meanwhile.append((sys.getswitchinterval(), gc.get_freeze_count()))

    channel = FakeChannel(lambda request: Answer(sent_ns=1, duration_ns=1))
    drive([chain("a", 1)], channel, sent=lambda request: None, answered=answered)
    ((switch_s, frozen),) = meanwhile
    assert switch_s < before[0]
    assert frozen > before[1]
    assert (sys.getswitchinterval(), gc.get_freeze_count()) == (before[0], 0)
