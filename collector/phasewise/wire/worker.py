"""The thread that turns exchanges into spans; the program's threads only put bytes into its inbox.

It works while the program waits for a response: each new request wakes it, and it then processes
the exchanges that ended before. Flushing and the end of the program trigger its work at once.
"""

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode

from phasewise.wire.decompression import UnreadableError, unpacked
from phasewise.wire.description import Described, describe
from phasewise.wire.exchange import MOST_HELD_BYTES, Exchange, Inbox
from phasewise.wire.recognise import may_be_call

SCOPE = "phasewise.wire"
IDLE_S = 0.25
"""the longest that an ended exchange waits"""
SENDING_S = 0.05
"""after so long a program has sent the request that woke this thread, and waits for its answer"""

Attributes = Mapping[str, object]
_log = logging.getLogger("phasewise")


class Worker:
    """Turns what the inbox holds into spans."""

    def __init__(
        self,
        provider: TracerProvider,
        *,
        filtered: Callable[[Attributes], Attributes] | None = None,
    ) -> None:
        self.inbox = Inbox()
        self.calls = 0
        """how many model calls were seen"""
        self.reported_elsewhere = 0
        """how many processes were started that report calls of their own"""
        self._tracer = provider.get_tracer(SCOPE)
        self._filtered = filtered
        self._wake = threading.Event()
        self._working = threading.Lock()
        self._start()
        os.register_at_fork(after_in_child=self._after_fork)
        atexit.register(self.close)

    def begin(self, method: str, url: object, body: object) -> Exchange | None:
        """Give the exchange of a request that goes out now; None where it can be no model call."""
        if method != "POST":
            return None
        if isinstance(body, str):
            body = body.encode()
        elif isinstance(body, bytearray | memoryview):
            body = bytes(body)
        if not isinstance(body, bytes):
            return None
        made = self.inbox.begin(url, body)
        self._wake.set()
        return made

    def drain(self) -> None:
        """Make spans of all that has ended."""
        with self._working:
            self._work()

    def close(self) -> None:
        """Do the same when the program ends; what is still under way ends with it."""
        for exchange in list(self.inbox.live.values()):
            exchange.leave()
        self.drain()

    def _start(self) -> None:
        threading.Thread(target=self._run, name="phasewise-wire", daemon=True).start()

    def _after_fork(self) -> None:
        """Begin anew in a child: what was under way is its parent's."""
        self.inbox.live.clear()
        self.inbox.begun.clear()
        self.inbox.done.clear()
        self._wake = threading.Event()
        self._working = threading.Lock()
        self._start()

    def _run(self) -> None:
        while True:
            if self._wake.wait(IDLE_S):
                self._wake.clear()
                time.sleep(SENDING_S)
            self.drain()

    def _work(self) -> None:
        self._sort_out()
        self.inbox.full = self.inbox.held_bytes() > MOST_HELD_BYTES
        while self.inbox.done:
            exchange = self.inbox.done.popleft()
            try:
                described = None if exchange.unwanted else describe(exchange)
                if described is not None:
                    self._emit(exchange, described)
            except Exception:  # a tracer must never stop the program it watches
                _log.exception("could not record a model call")

    def _sort_out(self) -> None:
        """Let go of requests that can be no model call, while their answers are still to come."""
        while self.inbox.begun:
            exchange = self.inbox.begun.popleft()
            try:
                exchange.unwanted = not may_be_call(unpacked(exchange.body))
            except UnreadableError:
                exchange.unwanted = True
            if exchange.unwanted:
                exchange.chunks.clear()

    def _emit(self, exchange: Exchange, described: Described) -> None:
        self.calls += 1
        attributes: Attributes = described.attributes
        error = described.error
        if self._filtered is not None:
            attributes, error = self._filtered(attributes), described.failed_with
        span = self._tracer.start_span(
            described.name,
            context=exchange.context,
            kind=SpanKind.CLIENT,
            attributes=attributes,  # type: ignore[arg-type]  # a filter gives no other values
            start_time=described.start_ns,
        )
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(described.end_ns)
