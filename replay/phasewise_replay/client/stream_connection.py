"""HTTP/1.1 connections to one server, in an event loop: bytes are stamped when they come.

`OpenAiChannel` sends with them. They work on asyncio's protocols, with uvicorn's parser: between
the socket and the list of pieces there is one call per read (see docs/decisions/0039).
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import httptools
import httpx

from phasewise_replay.client.streamed_response import StreamedResponse

KEEPALIVE_S = 4.0
"""uvicorn closes an idle connection after 5 s; sending on one at that moment is an error"""
CONNECT_S = 10.0
LEAST_FINAL = 200
"""a status below is followed by another one"""


class ServerClosedError(ConnectionError):
    """The server closed the connection before the first byte of its response."""


class StreamConnections:
    """A pool of connections to one server, all in one event loop."""

    def __init__(self, base_url: str, headers: Mapping[str, str], *, timeout_s: float) -> None:
        url = httpx.URL(base_url)
        self._host = url.host
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._tls = httpx.create_ssl_context(trust_env=False) if url.scheme == "https" else None
        self._prefix = url.raw_path.rstrip(b"/")
        fields = {"host": url.netloc.decode(), **headers, "content-type": "application/json"}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode()
        self._timeout_s = timeout_s
        self._idle: list[tuple[float, _Connection]] = []
        """since when, oldest first"""

    async def open(self, count: int) -> None:
        """Connect in advance, so that no first request has to wait for its connection."""
        connected = await asyncio.gather(
            *(self._connect() for _ in range(count)), return_exceptions=True
        )
        for connection in connected:
            if isinstance(connection, _Connection):
                self._release(connection)

    def close(self) -> None:
        """Close idle connections."""
        for _, connection in self._idle:
            connection.abort()
        self._idle.clear()

    async def post(self, path: str, body: Sequence[bytes]) -> StreamedResponse:
        """Send a request and return when its response has ended; failures are in its `error`.

        A request whose connection ends before the first byte of a response is sent once more.
        """
        line = b"POST %b%b HTTP/1.1\r\n" % (self._prefix, path.encode())
        head = b"%b%bcontent-length: %d\r\n\r\n" % (line, self._head, sum(map(len, body)))
        try:
            try:
                return await self._post(head, body)
            except ServerClosedError:
                return await self._post(head, body)
        except OSError as failure:
            response = StreamedResponse(time.time_ns(), time.perf_counter_ns())
            response.end_ns = response.begin_ns
            response.error = f"{type(failure).__name__}: {failure}"
            return response

    async def _post(self, head: bytes, body: Sequence[bytes]) -> StreamedResponse:
        connection = self._reuse() or await self._connect()
        try:
            response = await connection.exchange(head, body, timeout_s=self._timeout_s)
        except BaseException:
            connection.abort()
            raise
        if connection.reusable:
            self._release(connection)
        else:
            connection.abort()
        return response

    def _reuse(self) -> "_Connection | None":
        """Return the connection that was used last, if the server cannot have closed it yet."""
        oldest = time.monotonic() - KEEPALIVE_S
        while self._idle:
            since, connection = self._idle.pop()
            if since > oldest and connection.reusable:
                return connection
            connection.abort()
        return None

    def _release(self, connection: "_Connection") -> None:
        self._idle.append((time.monotonic(), connection))

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(
                    _Connection, self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise TimeoutError(f"no connection within {CONNECT_S:g} s") from None
        except ssl.SSLError as error:
            raise ConnectionError(f"{error}") from None
        return connection


class _Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.reusable = True
        self._parser = httptools.HttpResponseParser(self)
        self._response: StreamedResponse | None = None
        self._ended: asyncio.Future[StreamedResponse] | None = None
        self._read_ns = 0
        self._has_end = False
        """whether the response says where it ends, other than by closing the connection"""

    async def exchange(
        self, head: bytes, body: Sequence[bytes], *, timeout_s: float
    ) -> StreamedResponse:
        """Send a request; return its response when it has ended.  Raises ServerClosedError."""
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        self._response = StreamedResponse(time.time_ns(), time.perf_counter_ns())
        self._read_ns = self._response.begin_ns
        self._has_end = False
        self._transport.writelines([head, *body])
        watch = _Watch(loop, timeout_s, lambda: self._read_ns, self._silent)
        try:
            return await self._ended
        finally:
            watch.stop()
            self._response = self._ended = None

    def abort(self) -> None:
        """Close the connection at once, also in the middle of a response."""
        self.reusable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Stamp what came; the parser takes it out of its frames."""
        self._read_ns = time.perf_counter_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(f"no valid HTTP response: {error}")
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """End the response, where one was expected."""
        self.reusable = False
        response, ended = self._response, self._ended
        if response is None or ended is None or ended.done():
            return
        if response.status is None:
            reason = "the server closed the connection before it responded"
            ended.set_exception(ServerClosedError(str(error or reason)))
        elif error is None and not self._has_end:
            self._end(None)
        else:
            reason = "the server closed the connection before the response was complete"
            self._end(f"{reason}: {error}" if error else reason)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note whether the end of the body is marked."""
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._has_end = True

    def on_headers_complete(self) -> None:
        """Keep the status."""
        if self._response is not None:
            self._response.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body and when it came."""
        if self._response is not None:
            self._response.pieces.append((self._read_ns, body))

    def on_message_complete(self) -> None:
        """End the response."""
        if self._response is None or (self._response.status or 0) < LEAST_FINAL:
            return
        self.reusable = self.reusable and self._parser.should_keep_alive()
        self._end(None)

    def _silent(self, seconds: float) -> None:
        self._end(f"no data for {seconds:g} s")
        self.abort()

    def _end(self, error: str | None) -> None:
        if self._response is None or self._ended is None or self._ended.done():
            return
        self._response.end_ns = time.perf_counter_ns() if error else self._read_ns
        self._response.error = error
        self._ended.set_result(self._response)


class _Watch:
    """Calls back when nothing has been read for a time; one timer, not one per read."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        read_ns: Callable[[], int],
        silent: Callable[[float], None],
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._read_ns = read_ns
        self._silent = silent
        self._timer = loop.call_later(seconds, self._look)

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.cancel()

    def _look(self) -> None:
        left_s = self._seconds - (time.perf_counter_ns() - self._read_ns()) / 1e9
        if left_s <= 0:
            self._silent(self._seconds)
        else:
            self._timer = self._loop.call_later(left_s, self._look)
