"""What a receiver said to one request, whichever transport carried it."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from google.rpc import error_details_pb2, status_pb2

from tests.otlp_conformance.case import Encoding, Failed
from tests.otlp_conformance.otlp import Signal

CONTENT_TYPES: dict[Encoding, str] = {
    "protobuf": "application/x-protobuf",
    "json": "application/json",
}
RETRYABLE = {
    "grpc": {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE"}
    | {"UNAVAILABLE", "DATA_LOSS"},
    "http": {"429", "502", "503", "504"},
}
MOST_BODY_BYTES = 4 << 20  # the recommended limit of a response


class NoAnswerError(Exception):
    """The receiver closed, stayed silent or sent something that is no answer."""


@dataclass(frozen=True, slots=True)
class Partial:
    """The `partial_success` of an answer."""

    rejected: int
    """How many spans, data points or log records were rejected."""
    message: str
    """What the receiver says about it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, judged by the cases."""

    encoding: Encoding
    """How the request was written."""
    signal: Signal
    """Where the request went."""
    sent: str
    """The request in a few words."""
    code: str
    """The HTTP status (`200`) or the gRPC code (`OK`)."""
    headers: Mapping[str, str]
    """Headers, names in lower case; for gRPC the trailing metadata in text."""
    body: bytes
    """The body; for a gRPC error the bytes of its `google.rpc.Status`, where one was sent."""
    note: str = ""
    """The message of a gRPC error."""
    parsed_as_http: bool = True
    """False where the request was not proper HTTP, so that no receiver's code ever saw it."""

    @property
    def ok(self) -> bool:
        """Whether the request was accepted, at least in part."""
        return self.code in {"200", "OK"}

    @property
    def retryable(self) -> bool:
        """Whether a sender would send the same again."""
        return self.code in RETRYABLE["grpc" if self.encoding == "grpc" else "http"]

    @property
    def content_type(self) -> str:
        """The media type, in lower case and without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def said(self) -> str:
        """The answer in a few words."""
        if self.encoding == "grpc":
            return f"{self.code} {self.note}".strip()[:160]
        shown = self.body[:80].decode("utf-8", "backslashreplace")
        kind = self.headers.get("content-type", "no content type")
        return f"{self.code} {kind}, {len(self.body)} bytes{': ' + repr(shown) if shown else ''}"

    def plain_body(self) -> bytes:
        """Give the body as it was before compression."""
        if self.headers.get("content-encoding", "").lower() == "gzip":
            try:
                return gzip.decompress(self.body)
            except (OSError, EOFError) as error:
                raise Failed("a gzip body, as labelled", f"{error}") from error
        return self.body

    def response(self) -> Message:
        """Parse the body as this signal's `Export…ServiceResponse`."""
        return self._parse(self.signal.response())

    def status(self) -> status_pb2.Status:
        """Parse the body as `google.rpc.Status`."""
        status = status_pb2.Status()
        self._parse(status)
        return status

    def partial(self) -> Partial | None:
        """Read `partial_success`, None where it is unset."""
        response = self.response()
        if not response.HasField("partial_success"):
            return None
        found = getattr(response, "partial_success")  # noqa: B009  # the message's class differs
        return Partial(int(getattr(found, self.signal.rejected)), str(found.error_message))

    def has_detail(self, kind: type[Message]) -> bool:
        """Tell whether the status carries a detail of this kind."""
        return any(detail.Is(kind.DESCRIPTOR) for detail in self.status().details)

    def _parse(self, into: Message) -> Message:
        name = into.DESCRIPTOR.full_name
        body = self.plain_body()
        try:
            if self.encoding == "json":
                json_format.Parse(body, into)
            else:
                into.ParseFromString(body)
        except (DecodeError, json_format.ParseError, UnicodeDecodeError, ValueError) as error:
            raise Failed(f"a body that is `{name}`", f"{self.said} ({error})") from error
        if self.encoding != "json" and len(UnknownFieldSet(into)):
            raise Failed(f"a body that is `{name}`", f"{self.said} (with fields it has not)")
        return into

    def json_body(self) -> object:
        """Parse the body as plain JSON."""
        try:
            found: object = json.loads(self.plain_body())
        except ValueError as error:
            raise Failed("a JSON body", f"{self.said} ({error})") from error
        return found


DETAILS = (error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
"""Details a status may carry; naming them here lets the JSON parser know them."""
