"""Take a streamed answer apart into its events, each with the time at which it was complete.

Server-sent events (OpenAI, Anthropic, Gemini), Amazon's binary event stream (Bedrock), and Gemini's
streamed JSON array.
"""

import base64
import codecs
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

Chunk = tuple[int, bytes]
Event = tuple[int, dict[str, object]]
Form = Literal["sse", "amazon", "array", "whole"]
_AMAZON = "application/vnd.amazon.eventstream"
_PRELUDE_BYTES = 12
_SUM_BYTES = 4
_STRING = 7
"""header value type of Amazon's event stream"""


def form_of(content_type: str, start: bytes, *, streamed: bool) -> Form:
    """Say how an answer is written."""
    if content_type.startswith(_AMAZON):
        return "amazon"
    head = start.lstrip()
    if content_type.startswith("text/event-stream") or head.startswith((b"data:", b"event:")):
        return "sse"
    return "array" if streamed and head.startswith(b"[") else "whole"


def events(form: Form, chunks: Iterable[Chunk]) -> Iterator[Event]:
    """Return the events that are JSON objects, in order."""
    if form == "sse":
        return _server_sent(chunks)
    return _amazon(chunks) if form == "amazon" else _array(chunks)


def _server_sent(chunks: Iterable[Chunk]) -> Iterator[Event]:
    rest, moment = b"", 0
    data: list[bytes] = []
    for came, piece in chunks:
        moment = came
        rest += piece
        *lines, rest = rest.split(b"\n")
        for raw in lines:
            line = raw.rstrip(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].strip())
            elif not line and data:
                yield from _object(moment, b"\n".join(data))
                data = []
    if rest.startswith(b"data:"):
        data.append(rest[5:].strip())
    if data:
        yield from _object(moment, b"\n".join(data))


def _amazon(chunks: Iterable[Chunk]) -> Iterator[Event]:
    rest = b""
    for moment, piece in chunks:
        rest += piece
        while len(rest) >= _PRELUDE_BYTES:
            total = int.from_bytes(rest[:4], "big")
            if total < _PRELUDE_BYTES + _SUM_BYTES or len(rest) < total:
                break
            frame, rest = rest[:total], rest[total:]
            headers_bytes = int.from_bytes(frame[4:8], "big")
            headers = _headers(frame[_PRELUDE_BYTES : _PRELUDE_BYTES + headers_bytes])
            payload = frame[_PRELUDE_BYTES + headers_bytes : -_SUM_BYTES]
            for came, body in _object(moment, payload):
                yield came, _unwrapped(headers, body)


def _headers(data: bytes) -> Mapping[str, str]:
    found: dict[str, str] = {}
    place = 0
    while place < len(data):
        name_bytes = data[place]
        name = data[place + 1 : place + 1 + name_bytes].decode("utf-8", "replace")
        place += 1 + name_bytes
        if data[place : place + 1] != bytes([_STRING]):
            break
        size = int.from_bytes(data[place + 1 : place + 3], "big")
        found[name] = data[place + 3 : place + 3 + size].decode("utf-8", "replace")
        place += 3 + size
    return found


def _unwrapped(headers: Mapping[str, str], body: dict[str, object]) -> dict[str, object]:
    """Return an event's content: InvokeModel wraps the model's event, Converse names it."""
    inner = body.get("bytes")
    if isinstance(inner, str):
        try:
            found = json.loads(base64.b64decode(inner))
        except ValueError:
            return body
        return found if isinstance(found, dict) else body
    name = headers.get(":event-type") or headers.get(":exception-type")
    return {name: body} if name else body


def _array(chunks: Iterable[Chunk]) -> Iterator[Event]:
    """Read objects of an array one by one, each as soon as it is whole."""
    decoder = json.JSONDecoder()
    text = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    for moment, piece in chunks:
        rest += text.decode(piece)
        while True:
            rest = rest.lstrip("[, \r\n\t")
            try:
                found, end = decoder.raw_decode(rest)
            except ValueError:
                break
            rest = rest[end:]
            if isinstance(found, dict):
                yield moment, found


def _object(moment: int, data: bytes) -> Iterator[Event]:
    try:
        found = json.loads(data)
    except ValueError:
        return  # `[DONE]`, or something that is no JSON
    if isinstance(found, dict):
        yield moment, found
