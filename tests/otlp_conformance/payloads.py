"""The telemetry that the cases send."""

import os
import time

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1.logs_pb2 import (
    SEVERITY_NUMBER_INFO,
    LogRecord,
    ResourceLogs,
    ScopeLogs,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

MILLISECOND_NS = 1_000_000


def text(key: str, value: str) -> KeyValue:
    """Make an attribute with a string."""
    return KeyValue(key=key, value=AnyValue(string_value=value))


def resource() -> Resource:
    """Make the resource that all telemetry of the suite has."""
    return Resource(attributes=[text("service.name", "otlp-conformance")])


SCOPE = InstrumentationScope(name="otlp-conformance", version="1")


def span(trace_id: bytes | None = None) -> Span:
    """Make a span of one call of a language model."""
    end_ns = time.time_ns()
    return Span(
        trace_id=os.urandom(16) if trace_id is None else trace_id,
        span_id=os.urandom(8),
        name="chat tiny",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=end_ns - 5 * MILLISECOND_NS,
        end_time_unix_nano=end_ns,
        attributes=[
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "openai"),
            text("gen_ai.request.model", "tiny"),
            KeyValue(key="gen_ai.usage.input_tokens", value=AnyValue(int_value=12)),
            KeyValue(key="gen_ai.usage.output_tokens", value=AnyValue(int_value=3)),
        ],
    )


def request_of(*made: Span) -> ExportTraceServiceRequest:
    """Put spans into one request, under one resource and one scope."""
    scope_spans = ScopeSpans(scope=SCOPE, spans=made)
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource(), scope_spans=[scope_spans])]
    )


def spans(count: int) -> ExportTraceServiceRequest:
    """Make a request of so many spans, all of one trace."""
    trace_id = os.urandom(16)
    return request_of(*(span(trace_id) for _ in range(count)))


def trace_id_of(request: ExportTraceServiceRequest) -> str:
    """Give the trace id of the first span, in lower-case hex."""
    return request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()


def value_span(value: AnyValue) -> ExportTraceServiceRequest:
    """Make a request of one span whose last attribute, `probe`, has this value."""
    made = span()
    made.attributes.append(KeyValue(key="probe", value=value))
    return request_of(made)


def long_text(text_bytes: int) -> ExportTraceServiceRequest:
    """Make a request of one span with a text so long; it compresses well."""
    return value_span(AnyValue(string_value="conform " * (text_bytes // 8)))


def every_value() -> tuple[AnyValue, ...]:
    """Make an `AnyValue` of every kind."""
    word, number = AnyValue(string_value="word"), AnyValue(int_value=-1)
    return (
        word,
        AnyValue(string_value=""),
        AnyValue(bool_value=False),
        number,
        AnyValue(double_value=0.25),
        AnyValue(bytes_value=bytes(range(256))),
        AnyValue(array_value=ArrayValue(values=[word, number, AnyValue()])),
        AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=number)])),
        AnyValue(),
    )


def log_records(count: int) -> ExportLogsServiceRequest:
    """Make a request of so many log records."""
    records = [
        LogRecord(
            time_unix_nano=time.time_ns(),
            observed_time_unix_nano=time.time_ns(),
            severity_number=SEVERITY_NUMBER_INFO,
            severity_text="INFO",
            body=AnyValue(string_value="said"),
            attributes=[text("event.name", "gen_ai.choice")],
            trace_id=os.urandom(16),
            span_id=os.urandom(8),
        )
        for _ in range(count)
    ]
    scope_logs = ScopeLogs(scope=SCOPE, log_records=records)
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource(), scope_logs=[scope_logs])]
    )


def metric_request(*metrics: Metric) -> ExportMetricsServiceRequest:
    """Put metrics into one request."""
    scope_metrics = ScopeMetrics(scope=SCOPE, metrics=metrics)
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=resource(), scope_metrics=[scope_metrics])]
    )


def data_points(count: int) -> ExportMetricsServiceRequest:
    """Make a request of one gauge with so many points."""
    points = [NumberDataPoint(time_unix_nano=time.time_ns(), as_int=n) for n in range(count)]
    gauge = Metric(name="vllm:num_requests_running", gauge=Gauge(data_points=points))
    return metric_request(gauge)


def one_of_each() -> tuple[Message, ...]:
    """Make a small request of every stable signal."""
    return spans(1), data_points(1), log_records(1)
