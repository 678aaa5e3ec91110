"""Requests written byte by byte, for what message classes refuse to hold or are too slow to."""

import json
import os
import time

from tests.otlp_conformance.case import Encoding

VARINT, LENGTH = 0, 2


def varint(number: int) -> bytes:
    """Write an unsigned number in base 128."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, content: bytes) -> bytes:
    """Write a field of a message that is text, bytes or a message."""
    return varint(number << 3 | LENGTH) + varint(len(content)) + content


def span_with_raw_attributes(
    encoding: Encoding, attribute: bytes, count: int, *, trace_id: str | None = None
) -> bytes:
    """Write a request of one span that has the same raw attribute `count` times."""
    trace, span_id = bytes.fromhex(trace_id) if trace_id else os.urandom(16), os.urandom(8)
    start_ns = time.time_ns()
    if encoding == "json":
        attributes = b",".join([attribute] * count)
        return _json_span(trace.hex(), span_id.hex(), start_ns, attributes)
    times = b"".join(
        varint(number << 3 | 1) + at_ns.to_bytes(8, "little")
        for number, at_ns in ((7, start_ns), (8, start_ns + 1000))
    )
    ids = field(1, trace) + field(2, span_id)
    span = ids + field(5, b"probe") + times + field(9, attribute) * count
    return field(1, field(2, field(2, span)))  # ResourceSpans, ScopeSpans, Span


def _json_span(trace_id: str, span_id: str, start_ns: int, attributes: bytes) -> bytes:
    head = (
        f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{trace_id}",'
        f'"spanId":"{span_id}","name":"probe","startTimeUnixNano":"{start_ns}",'
        f'"endTimeUnixNano":"{start_ns + 1000}","attributes":['
    )
    return head.encode() + attributes + b"]}]}]}]}"


def text_attribute(encoding: Encoding, key: str, value: bytes) -> bytes:
    """Write an attribute whose text need not be UTF-8."""
    if encoding == "json":
        return b'{"key":%b,"value":{"stringValue":"%b"}}' % (json.dumps(key).encode(), value)
    return field(1, key.encode()) + field(2, field(1, value))


def nested_value(encoding: Encoding, levels: int) -> bytes:
    """Write an attribute whose value is a list in a list in a list, `levels` deep."""
    if encoding == "json":
        opened, closed = b'{"arrayValue":{"values":[' * levels, b"]}}" * levels
        return b'{"key":"deep","value":' + opened + b'{"intValue":1}' + closed + b"}"
    value = varint(3 << 3 | VARINT) + b"\x01"
    for _ in range(levels):
        value = field(5, field(1, value))  # AnyValue.array_value, ArrayValue.values
    return field(1, b"deep") + field(2, value)


def empty_spans(encoding: Encoding, count: int) -> bytes:
    """Write a request of so many spans that have no field: two bytes each."""
    if encoding == "json":
        spans = b",".join([b"{}"] * count)
        return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + spans + b"]}]}]}"
    return field(1, field(2, field(2, b"") * count))
