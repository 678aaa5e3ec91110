"""Read request bodies from ASGI messages without holding too much at once."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from phasewise_collector.otlp.body import TooLargeError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class DisconnectedError(Exception):
    """The sender went away before its request was whole."""


class BusyError(Exception):
    """Too many bytes are being worked on."""


class Room:
    """How many bytes of bodies may be held at once, over all requests."""

    def __init__(self, limit_bytes: int) -> None:
        self._free_bytes = limit_bytes

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """Return a function that takes bytes of room, all given back at the end of the block."""
        held = 0

        def take(size: int) -> None:
            nonlocal held
            if size > self._free_bytes:
                raise BusyError
            self._free_bytes -= size
            held += size

        try:
            yield take
        finally:
            self._free_bytes += held


async def read_body(receive: Receive, take: Callable[[int], None], *, limit_bytes: int) -> bytes:
    """Return a request's body; raises TooLargeError, BusyError, DisconnectedError.

    A body that is too large is read to its end, and dropped: only then does its sender listen.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= limit_bytes:
            take(len(part))
            parts.append(part)
        else:
            parts.clear()
        if not message.get("more_body", False):
            break
    if size > limit_bytes:
        raise TooLargeError(limit_bytes)
    return parts[0] if len(parts) == 1 else b"".join(parts)
