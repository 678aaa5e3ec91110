"""What an OTLP receiver says: success, partial success, or a google.rpc.Status."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import orjson
from google.protobuf import any_pb2  # type: ignore[import-untyped]  # ships no types
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

ContentType = Literal["application/x-protobuf", "application/json"]
PROTOBUF: ContentType = "application/x-protobuf"
JSON: ContentType = "application/json"


class Code(IntEnum):
    """The google.rpc codes that go with our HTTP statuses."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
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


def success(content_type: ContentType, rejected: int = 0, message: str = "") -> Answer:
    """Say that all that is not counted as rejected is on disk."""
    if not rejected:
        return Answer(200, content_type, b"{}" if content_type == JSON else b"")
    if content_type == JSON:
        # 64-bit integers are text in protobuf's JSON
        partial = {"rejectedSpans": str(rejected), "errorMessage": message}
        return Answer(200, content_type, orjson.dumps({"partialSuccess": partial}))
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = message
    return Answer(200, content_type, response.SerializeToString())


def failure(
    status: int,
    code: Code,
    message: str,
    *,
    content_type: ContentType,
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer:
    """Say no; the body is a google.rpc.Status in the request's own encoding."""
    made = status_pb2.Status(code=code, message=message)
    if code == Code.INVALID_ARGUMENT:
        violation = error_details_pb2.BadRequest.FieldViolation(field="body", description=message)
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.BadRequest(field_violations=[violation]))
        made.details.append(detail)
    if content_type == PROTOBUF:
        return Answer(status, content_type, made.SerializeToString(), headers)
    document: dict[str, object] = {"code": int(code), "message": message}
    if made.details:
        document["details"] = [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": "body", "description": message}],
            }
        ]
    return Answer(status, content_type, orjson.dumps(document), headers)
