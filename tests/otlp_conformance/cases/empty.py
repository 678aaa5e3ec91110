"""Requests that carry nothing are answered with success."""

import json

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from tests.otlp_conformance import payloads
from tests.otlp_conformance.case import JSON, case
from tests.otlp_conformance.expect import accepted
from tests.otlp_conformance.talk import Talk


@case("SHOULD", "OTLP, Full Success: empty requests")
def no_spans(talk: Talk) -> None:
    """An empty trace request (no bytes; in JSON {}) is answered with success."""
    accepted(talk.export(ExportTraceServiceRequest()))


@case("SHOULD", "OTLP, Full Success: empty requests")
def no_metrics(talk: Talk) -> None:
    """An empty metrics request is answered with success."""
    accepted(talk.export(ExportMetricsServiceRequest()))


@case("SHOULD", "OTLP, Full Success: empty requests")
def no_logs(talk: Talk) -> None:
    """An empty logs request is answered with success."""
    accepted(talk.export(ExportLogsServiceRequest()))


@case("SHOULD", "OTLP, Empty Telemetry Envelopes")
def resource_without_scopes(talk: Talk) -> None:
    """A resource with no scope inside is answered with success."""
    envelope = ResourceSpans(resource=payloads.resource())
    accepted(talk.export(ExportTraceServiceRequest(resource_spans=[envelope, ResourceSpans()])))


@case("SHOULD", "OTLP, Empty Telemetry Envelopes")
def scope_without_spans(talk: Talk) -> None:
    """A scope with no span inside is answered with success."""
    envelope = ResourceSpans(scope_spans=[ScopeSpans(scope=payloads.SCOPE), ScopeSpans()])
    accepted(talk.export(ExportTraceServiceRequest(resource_spans=[envelope])))


@case("SHOULD", "OTLP, Empty Telemetry Envelopes")
def envelope_beside_spans(talk: Talk) -> None:
    """An empty envelope does not disturb the spans beside it."""
    request = payloads.spans(1)
    request.resource_spans.insert(0, ResourceSpans())
    accepted(talk.export(request))


@case("SHOULD", "OTLP, Full Success: empty requests", JSON)
def empty_list(talk: Talk) -> None:
    """An empty list of resources is answered with success."""
    accepted(talk.send(b'{"resourceSpans":[]}'))


@case("MUST", "proto3 JSON mapping: null is the default", JSON)
def null_lists(talk: Talk) -> None:
    """Lists that are null count as empty."""
    accepted(talk.send(b'{"resourceSpans":null}'))
    accepted(talk.send(json.dumps({"resourceSpans": [{"scopeSpans": None}]}).encode()))
