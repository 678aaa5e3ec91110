"""The responses of an OTLP receiver: success, partial success, or a google.rpc.Status."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

import orjson
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from phasewise_collector.otlp.signals import Signal

ContentType = Literal["application/x-protobuf", "application/json"]
PROTOBUF: ContentType = "application/x-protobuf"
JSON: ContentType = "application/json"
_RESPONSES: dict[Signal, Any] = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}
_REJECTED: dict[Signal, tuple[str, str]] = {
    "traces": ("rejected_spans", "rejectedSpans"),
    "metrics": ("rejected_data_points", "rejectedDataPoints"),
    "logs": ("rejected_log_records", "rejectedLogRecords"),
}


class Code(IntEnum):
    """The google.rpc codes that go with our HTTP statuses."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    content_type: ContentType
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def success(
    content_type: ContentType, signal: Signal, rejected: int = 0, message: str = ""
) -> Answer:
    """Say that all that is not counted as rejected is on disk."""
    if not rejected and not message:
        return Answer(200, content_type, b"{}" if content_type == JSON else b"")
    if content_type == JSON:
        # 64-bit integers are text in protobuf's JSON
        partial = {_REJECTED[signal][1]: str(rejected), "errorMessage": message}
        return Answer(200, content_type, orjson.dumps({"partialSuccess": partial}))
    return Answer(200, content_type, response(signal, rejected, message))


def response(signal: Signal, rejected: int = 0, message: str = "") -> bytes:
    """Write the protobuf response of a signal; no bytes where there is nothing to say."""
    if not rejected and not message:
        return b""
    made = _RESPONSES[signal]()
    setattr(made.partial_success, _REJECTED[signal][0], rejected)
    made.partial_success.error_message = message
    written: bytes = made.SerializeToString()
    return written


def rpc_status(code: Code, message: str, *, retry_s: int | None = None) -> status_pb2.Status:
    """Make a google.rpc.Status with the details that OTLP asks for."""
    made = status_pb2.Status(code=code, message=message)
    if code == Code.INVALID_ARGUMENT:
        violation = error_details_pb2.BadRequest.FieldViolation(field="body", description=message)
        made.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if retry_s is not None:
        delay = error_details_pb2.RetryInfo()
        delay.retry_delay.seconds = retry_s
        made.details.add().Pack(delay)
    return made


def failure(
    status: int,
    code: Code,
    message: str,
    *,
    content_type: ContentType,
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer:
    """Say no; the body is a google.rpc.Status in the request's own encoding."""
    if content_type == PROTOBUF:
        made = rpc_status(code, message)
        return Answer(status, content_type, made.SerializeToString(), headers)
    document: dict[str, object] = {"code": int(code), "message": message}
    if code == Code.INVALID_ARGUMENT:
        document["details"] = [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": "body", "description": message}],
            }
        ]
    return Answer(status, content_type, orjson.dumps(document), headers)
