"""Read common deviations from OTLP/JSON, and convert them to the form of the specification.

Covers what senders and files really contain: protobuf field names (`resource_spans`), enum names,
several requests in a list, lone surrogates, attributes as a plain object, scopes as before OTLP
0.15, and requests with one broken span. A walk over the message's fields writes OTLP/JSON and drops
the items (spans, log records, data points) that cannot be read. It is much slower than `json.py`,
which calls it only for what it cannot read itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import cast

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from phasewise_collector.importers.json_text import BadJsonError, parse
from phasewise_collector.otlp.signals import ITEMS, Signal
from phasewise_collector.otlp.spans import MalformedError
from phasewise_collector.otlp.text_repair import DEEPEST, BrokenError

Json = dict[str, object]
CanRead = Callable[[Signal, Json], None]
"""raises MalformedError for a request that cannot be read"""
ReadId = Callable[[str], str]

_REQUESTS: dict[Signal, type[Message]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_ITEMS = frozenset(
    {
        *("Span", "LogRecord", "NumberDataPoint", "HistogramDataPoint"),
        *("ExponentialHistogramDataPoint", "SummaryDataPoint"),
    }
)
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})
_ALSO = {
    "resourceSpans": "batches",
    "scopeSpans": "instrumentationLibrarySpans",
    "scopeLogs": "instrumentationLibraryLogs",
    "scopeMetrics": "instrumentationLibraryMetrics",
    "scope": "instrumentationLibrary",
}
"""of OTLP before 0.15, and of Grafana Tempo's API"""


@dataclass(slots=True)
class Lenient:
    """A request as the specification writes it, and what it took."""

    document: Json = field(default_factory=dict)
    dropped: int = 0
    """items that were left out"""
    remarks: list[str] = field(default_factory=list)
    """what was replaced, and what was left out, in English"""
    broken: list[str] = field(default_factory=list)
    """fields around the items that cannot be read"""
    unknown: set[str] = field(default_factory=set)
    """fields that OTLP does not have, and that hold something"""


def of_body(signal: Signal, body: bytes, can_read: CanRead) -> Lenient:
    """Read the body of a request; raises MalformedError where no part of it can be read.

    Ids stay as they are: over the wire the specification asks for hex, and base64 is rejected.
    """
    remarks: list[str] = []
    document = _parsed(body, remarks)
    requests = requests_of(document)
    if isinstance(document, list):
        remarks.append(f"a list of {len(requests)} requests was read as one request")
    found = rewritten(signal, requests, can_read, read_id=str)
    found.remarks[:0] = remarks
    return found


def requests_of(document: object) -> list[Json]:
    """Return the requests of a document that is one, or a list of them; raises MalformedError."""
    listed = document if isinstance(document, list) else [document]
    found = [one for one in listed if isinstance(one, dict)]
    if not found or len(found) < len(listed):
        raise MalformedError("the body is JSON, but not an object")
    return found


def rewritten(
    signal: Signal, requests: Sequence[Json], can_read: CanRead, *, read_id: ReadId
) -> Lenient:
    """Write parsed requests as one; `read_id` gives an id in hex."""
    walk = _Walk(signal, can_read, read_id)
    for one in requests:
        found = walk.message(one, cast(Descriptor, _REQUESTS[signal].DESCRIPTOR), 0)
        for name, groups in found.items():
            walk.done.document[name] = [*_list(walk.done.document.get(name)), *_list(groups)]
    if walk.done.dropped:
        walk.done.remarks.append(
            f"{walk.done.dropped} {ITEMS[signal]} could not be read: {walk.reason}"
        )
    return walk.done


def _parsed(body: bytes, remarks: list[str]) -> object:
    try:
        return orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        reason = str(error)
    clean = body.decode(errors="replace").encode()
    try:
        document = parse(clean)
    except BadJsonError:
        raise MalformedError(f"the body is not JSON: {reason}") from None
    remarks.append(
        "characters that are not valid Unicode were replaced by U+FFFD"
        if clean == body
        else "the body was not UTF-8; invalid bytes were replaced by U+FFFD"
    )
    return document


@dataclass(slots=True)
class _Walk:
    """Goes through a request with the descriptors of its messages."""

    signal: Signal
    can_read: CanRead
    read_id: ReadId
    done: Lenient = field(default_factory=Lenient)
    reason: str = ""
    """why the first item that was left out could not be read"""

    def message(self, value: object, kind: Descriptor, depth: int, *, inside: str = "") -> Json:
        """Write a message; `inside` names the item that it is part of."""
        if kind.name == "AnyValue":
            value = _any_value(value)
        if not isinstance(value, Mapping):
            raise BrokenError(f"`{kind.name}` must be an object")
        if depth > DEEPEST:
            raise BrokenError("a value is nested too deeply")
        known = _fields(kind)
        made: Json = {}
        for name, content in value.items():
            one = known.get(name)
            if one is None:
                if content not in (None, "", 0, [], {}):
                    self.done.unknown.add(name)
                continue
            if content is None:
                continue
            try:
                made[one.json_name] = self._field(one, content, depth, inside)
            except BrokenError as error:
                if inside:
                    raise
                self.done.broken.append(str(error))
        return made

    def _field(self, one: FieldDescriptor, content: object, depth: int, inside: str) -> object:
        if not one.is_repeated:
            return self._content(one, content, depth, inside)
        if one.message_type is not None and one.message_type.name == "KeyValue":
            content = _pairs(content)
        if not isinstance(content, list):
            raise BrokenError(f"`{one.json_name}` must be a list of objects")
        made = []
        for item in content:
            try:
                made.append(self._content(one, item, depth, inside))
            except BrokenError as error:
                if inside or not _is_item(one):
                    raise
                self.done.dropped += 1
                self.reason = self.reason or str(error)
        return made

    def _content(self, one: FieldDescriptor, content: object, depth: int, inside: str) -> object:
        if one.enum_type is not None:
            named = one.enum_type.values_by_name.get(str(content))
            return content if named is None else named.number
        if one.json_name in _IDS and isinstance(content, str):
            return self.read_id(content)
        if one.message_type is None:
            return content
        if not _is_item(one):
            return self.message(content, one.message_type, depth + 1, inside=inside)
        made = self.message(content, one.message_type, depth + 1, inside=one.json_name)
        try:
            self.can_read(self.signal, _alone(self.signal, made))
            orjson.dumps(made)
        except (MalformedError, TypeError) as error:
            raise BrokenError(str(error)) from None
        return made


def _is_item(one: FieldDescriptor) -> bool:
    return one.message_type is not None and one.message_type.name in _ITEMS


def _alone(signal: Signal, item: Json) -> Json:
    """Make a request of one item."""
    if signal == "traces":
        return {"resourceSpans": [{"scopeSpans": [{"spans": [item]}]}]}
    if signal == "logs":
        return {"resourceLogs": [{"scopeLogs": [{"logRecords": [item]}]}]}
    return {
        "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [item]}}]}]}]
    }


@cache
def _fields(kind: Descriptor) -> dict[str, FieldDescriptor]:
    """Return a message's fields by every name that is written for them."""
    found: dict[str, FieldDescriptor] = {}
    for one in kind.fields:
        for name in (one.json_name, one.name, _ALSO.get(one.json_name, one.name)):
            found[name] = one
    return found


def _pairs(content: object) -> object:
    """Return attributes that stand as a plain object as the list of pairs that OTLP has."""
    if not isinstance(content, Mapping):
        return content
    return [{"key": key, "value": value} for key, value in content.items()]


_ANY = frozenset(
    {
        *("stringValue", "string_value", "boolValue", "bool_value", "intValue", "int_value"),
        *("doubleValue", "double_value", "arrayValue", "array_value"),
        *("kvlistValue", "kvlist_value", "bytesValue", "bytes_value"),
    }
)


_PLAIN = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}


def _any_value(value: object) -> object:
    """Return a value that stands plainly as the object that OTLP makes of it."""
    if isinstance(value, Mapping):
        known = not value or _ANY & value.keys()
        return value if known else {"kvlistValue": {"values": _pairs(value)}}
    if isinstance(value, list):
        return {"arrayValue": {"values": value}}
    name = _PLAIN.get(type(value))
    return {} if name is None else {name: value}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
