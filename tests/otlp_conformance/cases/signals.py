"""Every signal, and every field of the messages that carry it, is accepted."""

import os
import time

from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import (
    ExportProfilesServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.otlp_conformance import payloads
from tests.otlp_conformance.case import BINARY, case
from tests.otlp_conformance.expect import accepted, offered
from tests.otlp_conformance.talk import Talk

UNKNOWN_FIELD = b"\xfa\x7f\x03abc"  # field 2047, three bytes long: no message has it


@case("MUST", "OTLP, Full Success")
def one_span(talk: Talk) -> None:
    """A trace export is answered by 200 OK (gRPC: OK)."""
    accepted(talk.export(payloads.spans(1)))


@case("SHOULD", "OTLP, Signals")
def one_metric(talk: Talk) -> None:
    """A metrics export is answered by 200 OK (gRPC: OK)."""
    accepted(talk.export(payloads.data_points(1)))


@case("SHOULD", "OTLP, Signals")
def one_log_record(talk: Talk) -> None:
    """A logs export is answered by 200 OK (gRPC: OK)."""
    accepted(talk.export(payloads.log_records(1)))


@case("MAY", "OTLP, Signals (profiles: in development)")
def profiles(talk: Talk) -> None:
    """A profiles export is taken, or declined for good."""
    offered(talk.export(ExportProfilesServiceRequest()), "profiles")


@case("MUST", "trace.proto")
def every_field_of_a_span(talk: Talk) -> None:
    """A span with every field set (events, links, state, flags, dropped counts) is accepted."""
    made = payloads.span()
    made.trace_state = "vendor=1,other=2"
    made.parent_span_id = os.urandom(8)
    made.flags = 0x301
    made.dropped_attributes_count, made.dropped_events_count, made.dropped_links_count = 1, 2, 3
    made.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message="rate limited"))
    happened = Span.Event(time_unix_nano=made.end_time_unix_nano, name="gen_ai.choice")
    happened.attributes.append(payloads.text("index", "0"))
    made.events.append(happened)
    link = Span.Link(trace_id=os.urandom(16), span_id=os.urandom(8), trace_state="a=b", flags=1)
    link.attributes.append(payloads.text("why", "retry"))
    made.links.append(link)
    request = payloads.request_of(made)
    request.resource_spans[0].schema_url = "https://opentelemetry.io/schemas/1.37.0"
    request.resource_spans[0].scope_spans[0].schema_url = "https://opentelemetry.io/schemas/1.37.0"
    accepted(talk.export(request))


@case("MUST", "trace.proto")
def every_kind_and_status(talk: Talk) -> None:
    """Spans of every kind and every status code are accepted."""
    made = []
    for kind in Span.SpanKind.values():
        for code in Status.StatusCode.values():
            one = payloads.span()
            one.kind = kind
            one.status.code = code
            made.append(one)
    accepted(talk.export(payloads.request_of(*made)))


@case("MUST", "OTLP, Future Versions")
def enum_from_the_future(talk: Talk) -> None:
    """A kind of span that does not exist yet is accepted: proto3 enums are open."""
    made = payloads.span()
    made.kind = 99  # type: ignore[assignment]  # the point of this case
    accepted(talk.export(payloads.request_of(made)))


@case("MUST", "OTLP, Future Versions", BINARY)
def field_from_the_future(talk: Talk) -> None:
    """A field that does not exist yet is ignored."""
    accepted(talk.send(payloads.spans(1).SerializeToString() + UNKNOWN_FIELD))


@case("MUST", "trace.proto")
def child_before_parent(talk: Talk) -> None:
    """A child is accepted before its parent, and without it."""
    child, parent = payloads.span(), payloads.span()
    parent.trace_id = child.trace_id
    child.parent_span_id = parent.span_id
    accepted(talk.export(payloads.request_of(child)))
    accepted(talk.export(payloads.request_of(parent)))


@case("MUST", "trace.proto")
def several_resources_and_scopes(talk: Talk) -> None:
    """A request with several resources of several scopes each is accepted."""
    request = payloads.spans(2)
    for _ in range(2):
        request.resource_spans.append(payloads.spans(3).resource_spans[0])
        request.resource_spans[-1].scope_spans.append(request.resource_spans[0].scope_spans[0])
    seen = [s for r in request.resource_spans for group in r.scope_spans for s in group.spans]
    for one in seen:
        one.span_id = os.urandom(8)
    accepted(talk.export(request))


@case("MUST", "trace.proto: unset means unknown")
def no_resource_no_scope(talk: Talk) -> None:
    """A span without resource and without scope is accepted."""
    request = payloads.spans(1)
    request.resource_spans[0].ClearField("resource")
    request.resource_spans[0].scope_spans[0].ClearField("scope")
    accepted(talk.export(request))


@case("MUST", "trace.proto: only ids, name and times are expected")
def barest_span(talk: Talk) -> None:
    """A span of ids, name and times alone is accepted."""
    full = payloads.span()
    bare = Span(
        trace_id=full.trace_id,
        span_id=full.span_id,
        name="bare",
        start_time_unix_nano=full.start_time_unix_nano,
        end_time_unix_nano=full.end_time_unix_nano,
    )
    accepted(talk.export(payloads.request_of(bare)))


@case("MUST", "trace.proto")
def thousands_of_spans(talk: Talk) -> None:
    """A request of 5,000 spans is accepted."""
    accepted(talk.export(payloads.spans(5_000)))


@case("SHOULD", "metrics.proto")
def every_kind_of_metric(talk: Talk) -> None:
    """Sum, histogram, exponential histogram and summary are accepted, with exemplars."""
    now_ns = time.time_ns()
    exemplar = Exemplar(
        time_unix_nano=now_ns, as_double=0.5, trace_id=os.urandom(16), span_id=os.urandom(8)
    )
    number = NumberDataPoint(
        start_time_unix_nano=now_ns - 1, time_unix_nano=now_ns, as_double=1.5, exemplars=[exemplar]
    )
    histogram = HistogramDataPoint(
        start_time_unix_nano=now_ns - 1,
        time_unix_nano=now_ns,
        count=3,
        sum=6.0,
        bucket_counts=[1, 2],
        explicit_bounds=[2.5],
        min=1.0,
        max=3.0,
    )
    buckets = ExponentialHistogramDataPoint.Buckets(offset=-1, bucket_counts=[1, 1])
    exponential = ExponentialHistogramDataPoint(
        time_unix_nano=now_ns, count=4, sum=2.0, scale=2, zero_count=2, positive=buckets
    )
    quantile = SummaryDataPoint.ValueAtQuantile(quantile=0.5, value=2.0)
    summary = SummaryDataPoint(time_unix_nano=now_ns, count=2, sum=4.0, quantile_values=[quantile])
    temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    request = payloads.metric_request(
        Metric(
            name="a.sum",
            unit="{token}",
            description="tokens",
            sum=Sum(data_points=[number], aggregation_temporality=temporality, is_monotonic=True),
        ),
        Metric(
            name="a.histogram",
            histogram=Histogram(data_points=[histogram], aggregation_temporality=temporality),
        ),
        Metric(
            name="an.exponential",
            exponential_histogram=ExponentialHistogram(
                data_points=[exponential], aggregation_temporality=temporality
            ),
        ),
        Metric(name="a.summary", summary=Summary(data_points=[summary])),
        Metric(name="a.metric.without.data"),
    )
    accepted(talk.export(request))


@case("SHOULD", "logs.proto")
def every_field_of_a_log_record(talk: Talk) -> None:
    """A log record with every field set and a body of nested values is accepted."""
    request = payloads.log_records(1)
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    entries = [
        KeyValue(key=str(number), value=value)
        for number, value in enumerate(payloads.every_value())
    ]
    record.body.CopyFrom(AnyValue(kvlist_value=KeyValueList(values=entries)))
    record.event_name = "gen_ai.client.inference.operation.details"
    record.flags = 1
    record.dropped_attributes_count = 2
    accepted(talk.export(request))


@case("SHOULD", "logs.proto: trace and span id are optional")
def log_record_of_no_trace(talk: Talk) -> None:
    """A log record without trace id, time and body is accepted."""
    request = payloads.log_records(1)
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    for field in ("trace_id", "span_id", "time_unix_nano", "body"):
        record.ClearField(field)
    accepted(talk.export(request))
