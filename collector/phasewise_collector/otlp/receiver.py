"""The OTLP/HTTP receiver: an ASGI app that responds only once a request is safely stored."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict
from typing import Any

import orjson

from phasewise_collector.otlp.body import TooLargeError, UnknownEncodingError
from phasewise_collector.otlp.intake import BUSY_RETRY_S, ROOM_BYTES, Form, Intake, LaterError
from phasewise_collector.otlp.reading import (
    BusyError,
    DisconnectedError,
    Message,
    Receive,
    Room,
    read_body,
)
from phasewise_collector.otlp.response import (
    JSON,
    PROTOBUF,
    Answer,
    Code,
    ContentType,
    failure,
    success,
)
from phasewise_collector.otlp.signals import SIGNALS, Signal
from phasewise_collector.otlp.spans import MalformedError

PATHS: dict[str, Signal] = {f"/v1/{signal}": signal for signal in SIGNALS}
HEALTH = "/healthz"

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class Receiver:
    """An ASGI application for OTLP/HTTP."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._room = Room(ROOM_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        try:
            answer = await self._answer(scope, receive)
        except DisconnectedError:
            return
        if answer.status == 503:
            self._intake.counts.postponed_requests += 1
        elif answer.status >= 400:
            self._intake.counts.refused_requests += 1
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
            return Answer(200, JSON, orjson.dumps(asdict(self._intake.counts)))
        if path not in PATHS:
            reason = f"no endpoint at `{path}`; post to one of {', '.join(PATHS)}"
            return failure(404, Code.NOT_FOUND, reason, content_type=spoken)
        if method != "POST":
            reason = f"`{path}` accepts POST, not {method}"
            allow = (("allow", "POST"),)
            return failure(405, Code.UNIMPLEMENTED, reason, content_type=spoken, headers=allow)
        if content_type is None:
            reason = f"the content type must be {PROTOBUF} or {JSON}"
            return failure(415, Code.INVALID_ARGUMENT, reason, content_type=spoken)
        signal = PATHS[path]
        limit_bytes = self._intake.limit_bytes
        try:
            _refuse_announced(scope, limit_bytes)
            with self._room.hold() as take:
                body = await read_body(receive, take, limit_bytes=limit_bytes)
                encoding = _header(scope, b"content-encoding")
                form: Form = "json" if content_type == JSON else "protobuf"
                taken = await self._intake.take(signal, form, encoding, body)
        except MalformedError as error:
            return failure(400, Code.INVALID_ARGUMENT, str(error), content_type=spoken)
        except TooLargeError as error:
            return failure(413, Code.RESOURCE_EXHAUSTED, str(error), content_type=spoken)
        except UnknownEncodingError as error:
            return failure(415, Code.INVALID_ARGUMENT, str(error), content_type=spoken)
        except BusyError:
            return _later(
                LaterError("too many requests are being received at once", BUSY_RETRY_S), spoken
            )
        except LaterError as error:
            return _later(error, spoken)
        return success(content_type, signal, taken.rejected, taken.message)


def _later(error: LaterError, content_type: ContentType) -> Answer:
    retry = (("retry-after", str(error.retry_s)),)
    return failure(503, Code.UNAVAILABLE, str(error), content_type=content_type, headers=retry)


def _refuse_announced(scope: Scope, limit_bytes: int) -> None:
    """Raise where the sender itself says that its body is too large; chunks say nothing."""
    announced = _header(scope, b"content-length")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise TooLargeError(limit_bytes)


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1").strip().lower()
    return ""


def _content_type(header: str) -> ContentType | None:
    name = header.partition(";")[0].strip()
    return PROTOBUF if name == PROTOBUF else JSON if name == JSON else None
