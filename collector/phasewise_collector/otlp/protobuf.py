"""OTLP protobuf: check a request quickly before it is acknowledged, decode it when it is loaded."""

from collections.abc import Iterable, Iterator

from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]  # no types
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from phasewise_collector.otlp.spans import (
    KINDS,
    STATUSES,
    Event,
    MalformedError,
    ReceivedSpan,
    Request,
    Value,
)

NO_TRACE = bytes(16)
NO_SPAN = bytes(8)
_REQUESTS: dict[str, type[Message]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


def check(body: bytes) -> tuple[int, int]:
    """Give the number of good spans and of spans without valid ids; raises MalformedError."""
    good = bad = 0
    for resource in _parse(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                if _has_ids(span):
                    good += 1
                else:
                    bad += 1
    return good, bad


def check_other(signal: str, body: bytes) -> None:
    """Raise MalformedError when the body is no request of that signal (metrics, logs)."""
    try:
        _REQUESTS[signal].FromString(body)
    except DecodeError as error:
        raise MalformedError(f"the body is no OTLP {signal} request in protobuf: {error}") from None


def decode(body: bytes) -> Request:
    """Decode a trace request; raises MalformedError."""
    spans: list[ReceivedSpan] = []
    rejected = 0
    for resource in _parse(body).resource_spans:
        for span in _spans(resource):
            if span is None:
                rejected += 1
            else:
                spans.append(span)
    return Request(tuple(spans), rejected)


def _parse(body: bytes) -> ExportTraceServiceRequest:
    try:
        request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise MalformedError(f"the body is no OTLP trace request in protobuf: {error}") from None
    return request


def _has_ids(span: Span) -> bool:
    trace_id, span_id = span.trace_id, span.span_id
    return (
        len(trace_id) == len(NO_TRACE)
        and len(span_id) == len(NO_SPAN)
        and trace_id != NO_TRACE
        and span_id != NO_SPAN
    )


def _spans(group: ResourceSpans) -> Iterator[ReceivedSpan | None]:
    resource = _attributes(group.resource.attributes)
    for scoped in group.scope_spans:
        name, version = scoped.scope.name, scoped.scope.version
        for span in scoped.spans:
            if not _has_ids(span):
                yield None
                continue
            yield ReceivedSpan(
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_span_id=_parent(span.parent_span_id),
                name=span.name,
                kind=_choice(span.kind, KINDS),
                start_ns=span.start_time_unix_nano,
                end_ns=span.end_time_unix_nano,
                attributes=_attributes(span.attributes),
                events=tuple(
                    Event(event.name, event.time_unix_nano, _attributes(event.attributes))
                    for event in span.events
                ),
                resource=resource,
                scope_name=name,
                scope_version=version,
                status=_choice(span.status.code, STATUSES),
                status_message=span.status.message,
                dropped_attributes=span.dropped_attributes_count,
            )


def _parent(span_id: bytes) -> str | None:
    return span_id.hex() if span_id and span_id != NO_SPAN else None


def _choice(number: int, names: tuple[str, ...]) -> str:
    return names[number] if 0 <= number < len(names) else names[0]


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Value:
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [_value(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    plain: Value = getattr(value, which)
    return plain
