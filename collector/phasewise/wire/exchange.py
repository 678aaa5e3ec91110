"""One HTTP request and its answer, as the transports hand it over: bytes and times, nothing parsed.

Everything here runs on the program's thread, so it appends to lists and takes no lock: a stream may
be dropped by the garbage collector at any point of any thread.
"""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from opentelemetry.context import Context, get_current

MOST_BYTES = 32 << 20
"""of one body that are kept; the span of a longer one is marked as truncated"""
MOST_HELD_BYTES = 256 << 20
"""of all bodies that wait or are under way"""
_JSON = (b"{", b"\x1f\x8b")
"""how the body of a model call begins: as JSON, or as JSON in gzip"""


@dataclass(slots=True, eq=False)
class Exchange:
    """A request under way, and what has come of its answer."""

    inbox: "Inbox"
    url: object
    """as the client holds it; its query may hold a key, and is dropped when it is read"""
    body: bytes
    context: Context
    start_ns: int = field(default_factory=time.time_ns)
    began: int = field(default_factory=time.perf_counter_ns)
    """on the clock of the chunks, which no one sets back"""
    was_sent: bool = False
    """whether the transport said that it sends; not every transport does"""
    status: int | None = None
    headers: Mapping[str, str] | None = None
    """of the answer"""
    chunks: list[tuple[int, bytes]] = field(default_factory=list)
    kept_bytes: int = 0
    cut: bool = False
    """whether bytes were left out"""
    unwanted: bool = False
    """set by the worker: this is no model call, so nothing more is kept"""
    over: bool = False
    left: bool = False
    """the program closed it before its end"""
    error: BaseException | None = None
    ended: int = 0

    def sent(self) -> None:
        """Note that the connection stands, and that the request goes out now."""
        self.start_ns, self.began = time.time_ns(), time.perf_counter_ns()
        self.was_sent = True

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Note the head of the answer."""
        self.status = status
        self.headers = headers

    def chunk(self, data: bytes) -> None:
        """Keep a piece of the answer, as it came."""
        if self.unwanted or not data:
            return
        self.kept_bytes += len(data)
        if self.kept_bytes > MOST_BYTES or self.inbox.full:
            self.cut = True
            data = b""
        self.chunks.append((time.perf_counter_ns(), data))

    def end(self) -> None:
        """Note the last byte."""
        self._finish()

    def leave(self) -> None:
        """Note that the program wants no more of it; nothing where it had ended."""
        if not self.over:
            self.left = True
            self._finish()

    def fail(self, error: BaseException) -> None:
        """Note that no answer came, or that it broke off."""
        if not self.over:
            self.error = error
            self._finish()

    def _finish(self) -> None:
        if self.over:
            return
        self.over = True
        self.ended = time.perf_counter_ns()
        self.inbox.take(self)


class Inbox:
    """Where the program's threads leave exchanges, and the worker finds them."""

    def __init__(self) -> None:
        self.full = False
        """set by the worker: so much is held that nothing more is kept"""
        self.live: dict[int, Exchange] = {}
        self.begun: deque[Exchange] = deque()
        self.done: deque[Exchange] = deque()

    def begin(self, url: object, body: bytes) -> Exchange | None:
        """Return the exchange of a POST that may be a model call; None where it cannot be one."""
        if not body.startswith(_JSON) or len(body) > MOST_BYTES or self.full:
            return None
        made = Exchange(self, url, body, get_current())
        self.live[id(made)] = made
        self.begun.append(made)
        return made

    def take(self, exchange: Exchange) -> None:
        """Put an exchange that is over where the worker finds it."""
        self.live.pop(id(exchange), None)
        if not exchange.unwanted:
            self.done.append(exchange)

    def held_bytes(self) -> int:
        """Return what is held now, from the worker's thread."""
        everything = (*self.live.copy().values(), *self.done.copy())
        return sum(one.kept_bytes + len(one.body) for one in everything)
