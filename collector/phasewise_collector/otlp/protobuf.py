"""OTLP protobuf: check a request quickly before it is acknowledged, decode it when it is loaded."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from phasewise_collector.otlp.signals import ITEMS, Checked, Signal
from phasewise_collector.otlp.spans import (
    KINDS,
    STATUSES,
    Event,
    MalformedError,
    ReceivedPoint,
    ReceivedRecord,
    ReceivedSpan,
    Request,
    Value,
    moment,
)
from phasewise_collector.otlp.text_repair import BrokenError, mend

NO_TRACE = bytes(16)
NO_SPAN = bytes(8)
_REQUESTS: dict[Signal, type[Message]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


def check(signal: Signal, body: bytes) -> Checked:
    """Count what a request carries; raises MalformedError when it is none of that signal."""
    kind = _REQUESTS[signal]
    try:
        request = kind.FromString(body)
        accepted, rejected = _COUNTS[signal](request)
        nothing = "" if accepted or rejected else _nothing(signal, request)
        return Checked(accepted, rejected, nothing)
    except DecodeError as error:
        try:
            mended = mend(body, cast(Descriptor, kind.DESCRIPTOR))
            accepted, rejected = _COUNTS[signal](kind.FromString(mended.body))
        except (BrokenError, DecodeError):
            mended = None
        if mended is None or not accepted:
            raise MalformedError(
                f"the body is not an OTLP {signal} request in protobuf: {error}"
            ) from None
    reasons = []
    if mended.texts:
        reasons.append(
            f"{mended.texts} texts were not UTF-8; invalid bytes were replaced by U+FFFD"
        )
    if mended.dropped:
        reasons.append(f"{mended.dropped} items could not be parsed")
    return Checked(accepted, rejected + mended.dropped, "; ".join(reasons), mended=mended.body)


def _nothing(signal: Signal, request: Message) -> str:
    """Say that a body holds something, and nothing of it can be read."""
    if not len(UnknownFieldSet(request)):
        return ""
    return f"the body has no {ITEMS[signal]}, and its fields are not those of an OTLP request"


def decode(body: bytes) -> Request:
    """Decode a trace request; raises MalformedError."""
    spans: list[ReceivedSpan] = []
    rejected = 0
    for resource in _parse("traces", body).resource_spans:
        for span in _spans(resource):
            if span is None:
                rejected += 1
            else:
                spans.append(span)
    return Request(tuple(spans), rejected)


def decode_logs(body: bytes) -> Iterator[ReceivedRecord]:
    """Decode a logs request; raises MalformedError."""
    for group in _parse("logs", body).resource_logs:
        resource = _attributes(group.resource.attributes)
        for scoped in group.scope_logs:
            for record in scoped.log_records:
                yield ReceivedRecord(
                    time_ns=moment(record.time_unix_nano or record.observed_time_unix_nano),
                    event_name=record.event_name,
                    body=_value(record.body),
                    attributes=_attributes(record.attributes),
                    trace_id=_id(record.trace_id, NO_TRACE),
                    span_id=_id(record.span_id, NO_SPAN),
                    resource=resource,
                    scope_name=scoped.scope.name,
                    scope_version=scoped.scope.version,
                    severity=record.severity_text,
                    dropped_attributes=record.dropped_attributes_count,
                )


def decode_metrics(body: bytes) -> Iterator[ReceivedPoint]:
    """Decode a metrics request; raises MalformedError."""
    for group in _parse("metrics", body).resource_metrics:
        resource = _attributes(group.resource.attributes)
        for scoped in group.scope_metrics:
            for metric in scoped.metrics:
                for point in _points(metric):
                    which = (
                        point.WhichOneof("value")
                        if "value" in point.DESCRIPTOR.oneofs_by_name
                        else None
                    )
                    yield ReceivedPoint(
                        metric=metric.name,
                        time_ns=moment(point.time_unix_nano),
                        value=None if which is None else float(getattr(point, which)),
                        attributes=_attributes(point.attributes),
                        resource=resource,
                    )


def _parse(signal: Signal, body: bytes) -> Any:  # noqa: ANN401  # the signal says which message
    try:
        return _REQUESTS[signal].FromString(body)
    except DecodeError as error:
        raise MalformedError(
            f"the body is not an OTLP {signal} request in protobuf: {error}"
        ) from None


def _count_spans(request: ExportTraceServiceRequest) -> tuple[int, int]:
    good = bad = 0
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                if _has_ids(span):
                    good += 1
                else:
                    bad += 1
    return good, bad


def _count_points(request: ExportMetricsServiceRequest) -> tuple[int, int]:
    scopes = (scope for group in request.resource_metrics for scope in group.scope_metrics)
    metrics = (metric for scope in scopes for metric in scope.metrics)
    return sum(len(_points(metric)) for metric in metrics), 0


def _count_records(request: ExportLogsServiceRequest) -> tuple[int, int]:
    scopes = (scope for group in request.resource_logs for scope in group.scope_logs)
    return sum(len(scope.log_records) for scope in scopes), 0


_COUNTS: dict[Signal, Callable[[Any], tuple[int, int]]] = {
    "traces": _count_spans,
    "metrics": _count_points,
    "logs": _count_records,
}


def _points(metric: Metric) -> Any:  # noqa: ANN401  # of five kinds
    which = metric.WhichOneof("data")
    return () if which is None else getattr(metric, which).data_points


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
                parent_span_id=_id(span.parent_span_id, NO_SPAN),
                name=span.name,
                kind=_choice(span.kind, KINDS),
                start_ns=moment(span.start_time_unix_nano),
                end_ns=moment(span.end_time_unix_nano),
                attributes=_attributes(span.attributes),
                events=tuple(
                    Event(event.name, moment(event.time_unix_nano), _attributes(event.attributes))
                    for event in span.events
                ),
                resource=resource,
                scope_name=name,
                scope_version=version,
                status=_choice(span.status.code, STATUSES),
                status_message=span.status.message,
                dropped_attributes=span.dropped_attributes_count,
            )


def _id(given: bytes, nothing: bytes) -> str | None:
    """Return an id in hex; None where it is absent, of another length, or all zero."""
    return given.hex() if len(given) == len(nothing) and given != nothing else None


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
