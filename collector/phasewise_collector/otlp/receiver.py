"""The OTLP/HTTP receiver: an ASGI app that answers only once a request is safely put away.

It is handed a callable that puts a request away, and knows nothing of logs and databases.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import orjson

from phasewise_collector.otlp import json, protobuf
from phasewise_collector.otlp.answer import (
    JSON,
    PROTOBUF,
    Answer,
    Code,
    ContentType,
    failure,
    success,
)
from phasewise_collector.otlp.body import (
    LIMIT_BYTES,
    TooLargeError,
    UnknownEncodingError,
    inflate,
)
from phasewise_collector.otlp.reading import (
    BusyError,
    DisconnectedError,
    Message,
    Receive,
    Room,
    read_body,
)
from phasewise_collector.otlp.spans import MalformedError

SIGNALS = {"/v1/traces": "traces", "/v1/metrics": "metrics", "/v1/logs": "logs"}
HEALTH = "/healthz"
ROOM_BYTES = 256 << 20
"""bodies held at once before senders are asked to wait"""
BUSY_RETRY_S = 1
DISK_RETRY_S = 5
_OFF_LOOP_BYTES = 1 << 20
"""a body this large is checked in a thread, so that small requests need not wait for it"""

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class PutAway(Protocol):
    """Makes a trace request durable; raises OSError when it cannot."""

    def __call__(self, content_type: str, encoding: str, body: bytes, /) -> Awaitable[None]:
        """Return once the request would survive a crash."""
        ...


@dataclass(slots=True)
class Counts:
    """What the receiver has done since it started."""

    trace_requests: int = 0
    metrics_requests: int = 0
    logs_requests: int = 0
    accepted_spans: int = 0
    rejected_spans: int = 0
    """without valid ids; their senders were told"""
    refused_requests: int = 0
    """answered with a 4xx: they can never be accepted"""
    postponed_requests: int = 0
    """answered with 503: their senders will try again"""


class Receiver:
    """An ASGI application for OTLP/HTTP."""

    def __init__(self, put_away: PutAway, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.counts = Counts()
        self._put_away = put_away
        self._limit_bytes = limit_bytes
        self._room = Room(ROOM_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        try:
            answer = await self._answer(scope, receive)
        except DisconnectedError:
            return
        if answer.status == 503:
            self.counts.postponed_requests += 1
        elif answer.status >= 400:
            self.counts.refused_requests += 1
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
        ]
        headers += [(name.encode(), value.encode()) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:  # noqa: PLR0911  # one a reason
        method, path = scope["method"], scope["path"]
        content_type = _content_type(_header(scope, b"content-type"))
        spoken = content_type or JSON
        if path == HEALTH and method in {"GET", "HEAD"}:
            return Answer(200, JSON, orjson.dumps(asdict(self.counts)))
        if path not in SIGNALS:
            reason = f"nothing is received at `{path}`; post to one of {', '.join(SIGNALS)}"
            return failure(404, Code.NOT_FOUND, reason, content_type=spoken)
        if method != "POST":
            reason = f"`{path}` takes POST, not {method}"
            allow = (("allow", "POST"),)
            return failure(405, Code.UNIMPLEMENTED, reason, content_type=spoken, headers=allow)
        if content_type is None:
            reason = f"the content type must be {PROTOBUF} or {JSON}"
            return failure(415, Code.INVALID_ARGUMENT, reason, content_type=spoken)
        try:
            with self._room.hold() as take:
                body = await read_body(receive, take, limit_bytes=self._limit_bytes)
                encoding = _header(scope, b"content-encoding")
                return await self._accept(SIGNALS[path], content_type, encoding, body=body)
        except MalformedError as error:
            return failure(400, Code.INVALID_ARGUMENT, str(error), content_type=spoken)
        except TooLargeError as error:
            return failure(413, Code.RESOURCE_EXHAUSTED, str(error), content_type=spoken)
        except UnknownEncodingError as error:
            return failure(415, Code.INVALID_ARGUMENT, str(error), content_type=spoken)
        except BusyError:
            return _later("too much is being received at once", BUSY_RETRY_S, spoken)
        except OSError as error:
            reason = f"the collector cannot write its log: {error.strerror or error}"
            return _later(reason, DISK_RETRY_S, spoken)

    async def _accept(
        self, signal: str, content_type: ContentType, encoding: str, *, body: bytes
    ) -> Answer:
        check = self._check if len(body) < _OFF_LOOP_BYTES else self._check_in_thread
        good, bad = await check(signal, content_type, encoding, body)
        if signal == "metrics":
            self.counts.metrics_requests += 1
            return success(content_type)
        if signal == "logs":
            self.counts.logs_requests += 1
            return success(content_type)
        if bad and not good:
            raise MalformedError(
                f"none of the {bad} spans has a valid trace id and span id; "
                "if these are logs or metrics, post them to /v1/logs or /v1/metrics"
            )
        if good:
            kind = "json" if content_type == JSON else "protobuf"
            await self._put_away(kind, encoding, body)
        self.counts.trace_requests += 1
        self.counts.accepted_spans += good
        self.counts.rejected_spans += bad
        reason = f"{bad} spans have no valid trace id and span id" if bad else ""
        return success(content_type, bad, reason)

    async def _check(
        self, signal: str, content_type: ContentType, encoding: str, body: bytes
    ) -> tuple[int, int]:
        return _check(signal, content_type, encoding, body=body, limit_bytes=self._limit_bytes)

    async def _check_in_thread(
        self, signal: str, content_type: ContentType, encoding: str, body: bytes
    ) -> tuple[int, int]:
        return await asyncio.to_thread(
            _check, signal, content_type, encoding, body=body, limit_bytes=self._limit_bytes
        )


def _check(
    signal: str, content_type: ContentType, encoding: str, *, body: bytes, limit_bytes: int
) -> tuple[int, int]:
    """Give the number of good and of bad spans; raises when it is no OTLP request."""
    plain = inflate(body, encoding, limit_bytes)
    if signal != "traces":
        (json if content_type == JSON else protobuf).check_other(signal, plain)
        return 0, 0
    return json.check(plain) if content_type == JSON else protobuf.check(plain)


def _later(reason: str, retry_s: int, content_type: ContentType) -> Answer:
    retry = (("retry-after", str(retry_s)),)
    text = f"{reason}; try again in {retry_s} s"
    return failure(503, Code.UNAVAILABLE, text, content_type=content_type, headers=retry)


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1").strip().lower()
    return ""


def _content_type(header: str) -> ContentType | None:
    name = header.partition(";")[0].strip()
    return PROTOBUF if name == PROTOBUF else JSON if name == JSON else None
