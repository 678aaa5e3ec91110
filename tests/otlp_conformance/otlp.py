"""The signals of OTLP: where each one goes, what carries it and what answers it."""

from dataclasses import dataclass

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import (
    ExportProfilesServiceRequest,
    ExportProfilesServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of telemetry and its two doors."""

    name: str
    """`traces`, `metrics`, `logs` or `profiles`."""
    path: str
    """Default URL path of OTLP/HTTP."""
    method: str
    """Full name of the gRPC method."""
    request: type[Message]
    """What the sender sends."""
    response: type[Message]
    """What the receiver answers when all or part was accepted."""
    rejected: str
    """The field of `partial_success` that counts what was rejected."""


def _signal(
    name: str, version: str, service: str, rejected: str, messages: tuple[type[Message], ...]
) -> Signal:
    package = "trace" if name == "traces" else name
    return Signal(
        name=name,
        path=f"/{version}/{name}",
        method=f"/opentelemetry.proto.collector.{package}.{version}.{service}/Export",
        request=messages[0],
        response=messages[1],
        rejected=rejected,
    )


TRACES = _signal(
    "traces",
    "v1",
    "TraceService",
    "rejected_spans",
    (ExportTraceServiceRequest, ExportTraceServiceResponse),
)
METRICS = _signal(
    "metrics",
    "v1",
    "MetricsService",
    "rejected_data_points",
    (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
)
LOGS = _signal(
    "logs",
    "v1",
    "LogsService",
    "rejected_log_records",
    (ExportLogsServiceRequest, ExportLogsServiceResponse),
)
PROFILES = _signal(
    "profiles",
    "v1development",
    "ProfilesService",
    "rejected_profiles",
    (ExportProfilesServiceRequest, ExportProfilesServiceResponse),
)
SIGNALS = (TRACES, METRICS, LOGS)
"""The signals whose protocol is stable."""


def signal_of(request: Message) -> Signal:
    """Name the signal that this request carries."""
    for signal in (*SIGNALS, PROFILES):
        if isinstance(request, signal.request):
            return signal
    raise TypeError(f"`{type(request).__name__}` is not an OTLP request")
