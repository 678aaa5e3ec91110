"""Read one span in the JSON of OpenTelemetry's SDKs, Phoenix, MLflow and similar tools.

They have the same facts under other names: `FIELDS` lists the names of each, best first. A name
with dots is looked up as it is, and as a path. Called for every record of a list of spans.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from phasewise_collector.importers.fields import BadRecordError, Record
from phasewise_collector.importers.span_values import (
    SPAN_DIGITS,
    TRACE_DIGITS,
    attributes,
    flattened,
    identity,
    length_ns,
    moment_ns,
)
from phasewise_collector.otlp.spans import KINDS, STATUSES, Event, ReceivedSpan, Value

FIELDS: Mapping[str, tuple[str, ...]] = {
    "trace": (
        *("otel_trace_id", "traceId", "trace_id", "traceID", "context.trace_id"),
        *("context.traceId", "_spanContext.traceId", "spanContext.traceId"),
    ),
    "span": (
        *("spanId", "span_id", "spanID", "context.span_id", "context.spanId"),
        *("_spanContext.spanId", "spanContext.spanId", "id"),
    ),
    "parent": (
        *("parentSpanId", "parent_span_id", "parent_id", "parentId", "parentSpanContext.spanId"),
        *("parent.span_id", "parentSpanID"),
    ),
    "name": ("name", "operationName"),
    "start": ("startTimeUnixNano", "start_time_unix_nano", "startTime", "start_time", "timestamp"),
    "end": ("endTimeUnixNano", "end_time_unix_nano", "endTime", "end_time"),
    "duration": ("_duration", "duration"),
    "status": ("status.status_code", "status.code", "status_code", "statusCode"),
    "message": ("status.description", "status.message", "status_message", "statusMessage"),
    "scope": (
        *("instrumentationScope", "instrumentation_scope", "instrumentationLibrary"),
        *("instrumentation_info", "scope"),
    ),
    "resource": (
        *("resource.attributes", "resource._attributes", "resource._rawAttributes"),
        *("resource_attributes", "resourceAttributes"),
    ),
}
FIRST_CHUNK = "First Token Stream Event"
"""the event by which OpenInference says when an answer began"""
_EVENT_TIMES = ("timeUnixNano", "time_unix_nano", "timestamp", "time")
_COLUMN = "attributes."
_MICROSECOND_NS = 1000


@dataclass(frozen=True, slots=True)
class Around:
    """What the file says of all of its spans, or of those of one trace."""

    shared: Mapping[str, Value] = field(default_factory=dict)
    """attributes; a span's own come first"""
    resource: Mapping[str, Value] | None = None


def span_of(record: Record, around: Around) -> ReceivedSpan:
    """Return the span; raises BadRecordError where it has no ids, or a time that is none."""
    trace_id = identity(first(record, "trace"), TRACE_DIGITS)
    span_id = identity(first(record, "span"), SPAN_DIGITS)
    if trace_id is None or span_id is None:
        raise BadRecordError("the span has no trace id and span id")
    start_ns = moment_ns(first(record, "start")) or 0
    end_ns = moment_ns(first(record, "end"))
    if end_ns is None:
        end_ns = start_ns + (length_ns(first(record, "duration"), _MICROSECOND_NS) or 0)
    scope = first(record, "scope")
    scope = scope if isinstance(scope, Mapping) else {}
    resource = attributes(first(record, "resource")) or around.resource
    return ReceivedSpan(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=identity(first(record, "parent"), SPAN_DIGITS),
        name=str(first(record, "name") or "span"),
        kind=_kind(record),
        start_ns=start_ns,
        end_ns=end_ns,
        attributes={**around.shared, **_attributes(record)},
        events=tuple(_events(record)),
        resource=resource,
        scope_name=str(scope.get("name") or ""),
        scope_version=str(scope.get("version") or ""),
        status=_status(first(record, "status")),
        status_message=str(first(record, "message") or ""),
        dropped_attributes=_count(record),
    )


def first(record: Record, fact: str) -> object:
    """Return a fact under the first of its names that is there."""
    for name in FIELDS[fact]:
        value = _at(record, name)
        if value not in (None, ""):
            return value
    return None


def _at(record: Record, path: str) -> object:
    if path in record:
        return record[path]
    head, _, rest = path.partition(".")
    inner = record.get(head)
    return _at(inner, rest) if rest and isinstance(inner, Mapping) else None


def _attributes(record: Record) -> dict[str, Value]:
    found = attributes(record.get("attributes"))
    for name, value in record.items():
        if name.startswith(_COLUMN) and value is not None:  # of a table
            found[name.removeprefix(_COLUMN)] = value  # type: ignore[assignment]  # JSON
    kind = record.get("span_kind")
    if isinstance(kind, str):
        found.setdefault("openinference.span.kind", kind)
    return flattened(found)


def _events(record: Record) -> list[Event]:
    found = []
    listed = record.get("events")
    for event in listed if isinstance(listed, list) else ():
        if isinstance(event, Mapping):
            at = next((event[name] for name in _EVENT_TIMES if event.get(name)), None)
            about = attributes(event.get("attributes"))
            found.append(Event(str(event.get("name") or ""), moment_ns(at) or 0, about))
    return found


def _kind(record: Record) -> str:
    """Return `Span.kind`: a name, protobuf's number, or JavaScript's, which begins at INTERNAL."""
    kind = record.get("kind")
    if isinstance(kind, str):
        name = kind.rpartition(".")[2].removeprefix("SPAN_KIND_").lower()
        return name if name in KINDS else KINDS[0]
    if isinstance(kind, bool) or not isinstance(kind, int):
        return KINDS[0]
    from_protobuf = "startTimeUnixNano" in record or "start_time_unix_nano" in record
    place = kind if from_protobuf else kind + 1
    return KINDS[place] if 0 <= place < len(KINDS) else KINDS[0]


def _status(code: object) -> str:
    if isinstance(code, int) and not isinstance(code, bool):
        return STATUSES[code] if 0 <= code < len(STATUSES) else STATUSES[0]
    name = str(code or "").rpartition(".")[2].removeprefix("STATUS_CODE_").lower()
    return name if name in STATUSES else STATUSES[0]


def _count(record: Record) -> int:
    for name in ("droppedAttributesCount", "_droppedAttributesCount", "dropped_attributes_count"):
        value = record.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return 0
