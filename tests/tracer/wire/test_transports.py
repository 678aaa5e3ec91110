"""Real HTTP clients against a real server: what the program gets is unchanged, the call is seen."""

import gc
import json
import os
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import requests
import urllib3
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from phasewise.wire import httpx_transport, urllib3_transport
from phasewise.wire.description import ABANDONED, FIRST_TOKEN_NS
from phasewise.wire.exchange import MOST_BYTES
from phasewise.wire.worker import Worker

from tests.tracer.chat_server import FIRST_TOKEN_S, ChatServer, chat_server

ASKED = {"model": "stand-in", "messages": [{"role": "user", "content": "hello"}]}
STREAMED = ASKED | {"stream": True, "stream_options": {"include_usage": True}}


class Watched:
    """A worker whose spans stay in memory."""

    def __init__(self) -> None:
        provider = TracerProvider()
        self._kept = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.worker = Worker(provider)

    def spans(self) -> list[dict[str, object]]:
        """Give the attributes of the spans made since the last look."""
        self.worker.drain()
        found: list[dict[str, object]] = []
        for span in self._kept.get_finished_spans():
            found.append(dict((span.attributes or {}).items()))
        self._kept.clear()
        return found


@pytest.fixture(scope="module")
def watched() -> Watched:
    """Watch this process's own clients; they stay watched, which other tests do not notice."""
    made = Watched()
    httpx_transport.watch(httpx._client, made.worker)
    urllib3_transport.watch(urllib3.connectionpool, made.worker)
    return made


@pytest.fixture
def server(watched: Watched) -> Iterator[ChatServer]:
    """Serve for one test."""
    with chat_server() as running:
        yield running
    watched.spans()


def address(server: ChatServer) -> str:
    """Give where chats are answered."""
    return f"{server.base_url}/chat/completions"


def test_httpx_whole_and_streamed(watched: Watched, server: ChatServer) -> None:
    """The program reads the same bytes, in the same pieces; each request is a span."""
    assert httpx.post(address(server), json=ASKED).json()["model"] == "stand-in"
    with httpx.stream("POST", address(server), json=STREAMED) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    whole, streamed = watched.spans()
    assert FIRST_TOKEN_NS not in whole
    assert whole["gen_ai.request.stream"] is False
    assert FIRST_TOKEN_S * 1e9 < float(str(streamed[FIRST_TOKEN_NS])) < FIRST_TOKEN_S * 1e9 + 1e9


@pytest.mark.parametrize("preload", [True, False], ids=["preloaded", "read"])
def test_urllib3(watched: Watched, server: ChatServer, preload: bool) -> None:
    """Read at once, or by the program."""
    pool = urllib3.PoolManager()
    answer = pool.request("POST", address(server), json=ASKED, preload_content=preload)
    assert isinstance(answer, urllib3.HTTPResponse)
    assert b"stand-in" in (answer.data if preload else answer.read())
    assert [span["gen_ai.response.model"] for span in watched.spans()] == ["stand-in"]


def test_requests_streams(watched: Watched, server: ChatServer) -> None:
    """Through requests, line by line; then one whose answer is dropped after a line."""
    with requests.Session() as session:
        answer = session.post(address(server), data=json.dumps(STREAMED), stream=True, timeout=9)
        assert [line for line in answer.iter_lines() if line][-1] == b"data: [DONE]"
        (span,) = watched.spans()
        assert FIRST_TOKEN_NS in span
        assert "usage" in str(span["phasewise.wire.usage"])


def test_a_dropped_answer_is_abandoned(watched: Watched) -> None:
    """A stream that nobody reads to its end, nor closes, is a call all the same."""
    piece = b'data: {"choices": [{"index": 0, "delta": {"content": "yes "}}]}\n\n'
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=iter([piece] * 9)))
    with httpx.Client(transport=transport) as client:
        request = client.build_request("POST", "http://x/v1/chat/completions", json=STREAMED)
        answer = client.send(request, stream=True)
        next(answer.iter_raw())
        del answer
        gc.collect()
        (span,) = watched.spans()
    assert span[ABANDONED] is True
    assert "yes " in str(span["output.value"])


def test_other_requests_are_let_go(watched: Watched, server: ChatServer) -> None:
    """A body that is no model's: no span, and the answer is not kept."""
    httpx.post(address(server), json={"query": "x" * 1000})
    httpx.get(server.base_url)
    assert watched.spans() == []
    assert watched.worker.inbox.held_bytes() == 0


def test_a_request_too_long_is_left_alone(watched: Watched, server: ChatServer) -> None:
    """Memory is bounded: a body beyond the limit is not kept; the program gets its answer."""
    sent = b'{"messages": "' + b"x" * MOST_BYTES + b'"}'
    exchange = watched.worker.begin("POST", address(server), sent)
    assert exchange is None


def test_a_long_answer_is_cut(watched: Watched) -> None:
    """Beyond the limit bytes are counted and not kept."""
    exchange = watched.worker.inbox.begin(
        "http://x/v1/chat/completions", b'{"model": "m", "messages": []}'
    )
    assert exchange is not None
    for _ in range(5):
        exchange.chunk(b"x" * (MOST_BYTES // 4 + 1))
    assert exchange.cut
    assert sum(len(data) for _, data in exchange.chunks) <= MOST_BYTES
    exchange.leave()


def test_a_fork_begins_anew(watched: Watched) -> None:
    """What was under way in the parent is the parent's; the child's own calls are seen."""
    inbox = watched.worker.inbox
    begun = inbox.begin("http://x/v1/chat/completions", b'{"model": "m", "messages": []}')
    assert begun is not None
    child = os.fork()
    if child == 0:
        threads = [one.name for one in threading.enumerate()]
        os._exit(0 if not inbox.live and "phasewise-wire" in threads else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert list(inbox.live.values()) == [begun]
    begun.leave()
    watched.spans()


def test_the_program_s_thread_does_next_to_nothing(watched: Watched) -> None:
    """A body of 80 KB is handed over in far less than a hundredth of the 2 ms that are allowed."""
    body = b'{"model": "m", "messages": [' + b"1," * 40_000 + b"1]}"
    began = time.thread_time()
    for _ in range(200):
        exchange = watched.worker.inbox.begin("http://x/v1/chat/completions", body)
        assert exchange is not None
        exchange.answered(200, {})
        exchange.chunk(b"{}")
        exchange.end()
    assert (time.thread_time() - began) / 200 < 0.2e-3
    watched.worker.inbox.done.clear()
    watched.worker.inbox.begun.clear()
