"""Repair a protobuf request that no parser accepts, so that one bad span does not cost the others.

A parser rejects the whole request when a single text is not UTF-8, or one value is nested too
deeply. This walk over the wire format knows the fields of the message, replaces bytes that are not
UTF-8, and drops the innermost broken item (span, log record, metric).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor

DEEPEST = 90
"""levels of messages; protobuf's own parsers stop at 100"""
ITEMS = frozenset({"Span", "LogRecord", "Metric"})

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


class BrokenError(Exception):
    """The bytes are no message."""


@dataclass(slots=True)
class Mended:
    """A request that can be parsed, and what it took."""

    body: bytes = b""
    texts: int = 0
    """texts in which bytes that are no UTF-8 were replaced by U+FFFD"""
    dropped: int = 0
    """items that were left out"""


def mend(body: bytes, descriptor: Descriptor) -> Mended:
    """Give a request that can be parsed; raises BrokenError where its outer structure is broken."""
    done = Mended()
    done.body = b"".join(_message(memoryview(body), descriptor, done, 0))
    return done


def _message(data: memoryview, kind: Descriptor, done: Mended, depth: int) -> Iterator[bytes]:
    if depth > DEEPEST:
        raise BrokenError("nested too deeply")
    place = 0
    fields = kind.fields_by_number
    while place < len(data):
        start = place
        tag, place = _varint(data, place)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise BrokenError("a field has the number 0")
        if wire == _LENGTH:
            length, place = _varint(data, place)
            content = data[place : place + length]
            place += length
            if place > len(data):
                raise BrokenError("a field is truncated")
            field = fields.get(number)
            if field is None:
                yield bytes(data[start:place])
                continue
            mended = _content(content, field, done, depth)
            if mended is not None:
                yield _encode(tag) + _encode(len(mended)) + mended
            continue
        place = _skip(data, place, wire)
        yield bytes(data[start:place])


def _content(data: memoryview, field: FieldDescriptor, done: Mended, depth: int) -> bytes | None:
    """Return a field's content as it may stay; None where it is an item to leave out."""
    if field.type == FieldDescriptor.TYPE_STRING:
        raw = bytes(data)
        try:
            raw.decode()
        except UnicodeDecodeError:
            done.texts += 1
            return raw.decode(errors="replace").encode()
        return raw
    if field.type != FieldDescriptor.TYPE_MESSAGE:
        return bytes(data)
    kind = field.message_type
    assert kind is not None
    if kind.name not in ITEMS:
        return b"".join(_message(data, kind, done, depth + 1))
    texts = done.texts
    try:
        return b"".join(_message(data, kind, done, depth + 1))
    except BrokenError:
        done.texts = texts
        done.dropped += 1
        return None


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    number = shift = 0
    for step in range(_LONGEST_VARINT):
        if place + step >= len(data):
            raise BrokenError("a number is truncated")
        byte = data[place + step]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place + step + 1
        shift += 7
    raise BrokenError("a number is too long")


def _skip(data: memoryview, place: int, wire: int) -> int:
    if wire == _VARINT:
        return _varint(data, place)[1]
    if wire not in (_FIXED64, _FIXED32):
        raise BrokenError(f"unknown wire type {wire}")
    place += 8 if wire == _FIXED64 else 4
    if place > len(data):
        raise BrokenError("a number is truncated")
    return place


def _encode(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
