"""HTTP/1.1 by hand: a sender that can be slow, rude, brief or several requests ahead.

Ordinary clients hide what the cases are about (chunks, pipelining, half a body, an answer that
comes before the request has ended), so this one writes bytes to a socket and reads answers back.
"""

import contextlib
import http.client
import io
import select
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.otlp_conformance.answer import NoAnswerError

PIECE_BYTES = 256 << 10
MOST_ANSWER_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Address:
    """Where a receiver listens for OTLP/HTTP."""

    host: str
    """Name or address."""
    port: int
    """TCP port."""
    tls: bool = False
    """Whether to speak https."""
    base: str = ""
    """Path in front of `/v1/traces`, without a slash at its end."""

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL; the port of OTLP/HTTP, 4318, is the default."""
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"`{url}` is no http URL; write it like http://127.0.0.1:4318")
        return cls(
            parts.hostname, parts.port or 4318, parts.scheme == "https", parts.path.rstrip("/")
        )

    @property
    def host_header(self) -> str:
        """The value of the `Host` header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response as it came."""

    status: int
    """The status code."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    """The body, without chunks, still compressed if it was."""


class Line:
    """One connection to a receiver."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        """Connect; every wait on this line ends after `timeout_s`."""
        self._timeout_s = timeout_s
        try:
            self._socket = socket.create_connection((address.host, address.port), timeout_s)
            if address.tls:
                context = ssl.create_default_context()
                self._socket = context.wrap_socket(self._socket, server_hostname=address.host)
        except OSError as error:
            raise NoAnswerError(f"no connection to {address.host_header}: {error}") from error
        self._reader = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        """Use as a context: the connection closes with it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close without a word."""
        with contextlib.suppress(OSError):
            self._reader.close()
            self._socket.close()

    def write(self, data: bytes) -> bool:
        """Send; stop and say False as soon as an answer (or the end) comes before all is sent."""
        left = memoryview(data)
        try:
            while left:
                readable, writable, _ = select.select(
                    [self._socket], [self._socket], [], self._timeout_s
                )
                if readable and len(left) > PIECE_BYTES:
                    return False
                if not writable:
                    raise NoAnswerError(f"took no byte for {self._timeout_s:g} s")
                left = left[self._socket.send(left[:PIECE_BYTES]) :]
        except OSError:
            return False  # it closed; what it said before that can still be read
        return True

    def read(self, *, has_body: bool = True) -> Reply:
        """Read one answer."""
        try:
            while True:
                status = self._status()
                headers = {
                    name.lower(): value
                    for name, value in http.client.parse_headers(self._reader).items()
                }
                if status >= 200:  # 100 Continue comes before the answer
                    break
            body = self._body(status, headers) if has_body else b""
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error
        return Reply(status, headers, body)

    def _status(self) -> int:
        line = self._reader.readline(65_536)
        if not line:
            raise NoAnswerError("the connection closed without an answer")
        version, _, rest = line.partition(b" ")
        if not version.startswith(b"HTTP/1."):
            raise NoAnswerError(f"no HTTP/1 answer but {line[:60]!r}")
        return int(rest[:3])

    def _body(self, status: int, headers: Mapping[str, str]) -> bytes:
        if status in {204, 304}:
            return b""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks()
        length = headers.get("content-length")
        if length is None:
            return self._reader.read(MOST_ANSWER_BYTES)
        wanted = min(int(length), MOST_ANSWER_BYTES)
        body = self._reader.read(wanted)
        if len(body) < wanted:
            raise NoAnswerError(f"the answer ended after {len(body)} of {length} bytes")
        return body

    def _chunks(self) -> bytes:
        body = io.BytesIO()
        while size := int(self._reader.readline(65_536).partition(b";")[0], 16):
            body.write(self._reader.read(min(size, MOST_ANSWER_BYTES)))
            self._reader.readline(65_536)
            if body.tell() > MOST_ANSWER_BYTES:
                return body.getvalue()
        while self._reader.readline(65_536).strip():
            pass
        return body.getvalue()


def head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Write the request line and the headers."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunked(pieces: Iterable[bytes]) -> bytes:
    """Write pieces as the chunks of a chunked body, the last one included."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
