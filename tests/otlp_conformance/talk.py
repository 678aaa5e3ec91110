"""What a case is handed: one receiver, spoken to in one encoding."""

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import Message

from tests.otlp_conformance import json_form
from tests.otlp_conformance.answer import CONTENT_TYPES, Answer
from tests.otlp_conformance.case import Encoding, Failed, NotChecked
from tests.otlp_conformance.grpc_wire import Compression, GrpcReply, GrpcWire
from tests.otlp_conformance.http_wire import Address, Line, Reply, head
from tests.otlp_conformance.otlp import TRACES, Signal, signal_of
from tests.otlp_conformance.payloads import spans, trace_id_of
from tests.otlp_conformance.stored import Overload, Stored, count_when

MEDIA = "content-type"
STORE_WAIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver under test and what the suite may ask of it."""

    http: Address | None = None
    """Where it takes OTLP/HTTP."""
    grpc: str | None = None
    """Where it takes OTLP/gRPC, `host:port`."""
    stored: Stored | None = None
    """Counts what it stored."""
    overload: Overload | None = None
    """Overloads it."""
    limit_bytes: int = 64 << 20
    """The size limit of a request it is configured with; the recommended one by default."""
    timeout_s: float = 10.0
    """The longest wait for one answer, in seconds; at the size limit three times as long."""


class Talk:
    """Sends what a case wants sent, in the case's encoding, and keeps every answer."""

    def __init__(
        self,
        receiver: Receiver,
        encoding: Encoding,
        journal: list[Answer],
        channel: GrpcWire | None,
    ) -> None:
        """Keep the receiver; `journal` collects the answers of the whole run."""
        self.receiver = receiver
        self.encoding = encoding
        self.journal = journal
        self.first = len(journal)
        self._channel = channel

    @property
    def answers(self) -> list[Answer]:
        """The answers this case got so far."""
        return self.journal[self.first :]

    def encode(self, message: Message) -> bytes:
        """Write a message in this encoding."""
        if self.encoding == "json":
            return json_form.encode(message)
        return message.SerializeToString()

    def export(self, message: Message, *, compression: Compression = "none") -> Answer:
        """Send a message as a good sender would."""
        body = self.encode(message)
        return self.send(body, signal=signal_of(message), compression=compression)

    def send(
        self,
        body: bytes,
        *,
        signal: Signal = TRACES,
        compression: Compression = "none",
        timeout_s: float | None = None,
    ) -> Answer:
        """Send these bytes as the body of a request."""
        if self.encoding == "grpc":
            return self.call(body, signal=signal, compression=compression, timeout_s=timeout_s)
        headers = {} if compression == "none" else {"Content-Encoding": compression}
        squeezed = squeeze(body, compression)
        return self.post(squeezed, signal=signal, headers=headers, timeout_s=timeout_s)

    def call(
        self,
        body: bytes,
        *,
        signal: Signal = TRACES,
        method: str | None = None,
        compression: Compression = "none",
        metadata: tuple[tuple[str, str | bytes], ...] = (),
        timeout_s: float | None = None,
    ) -> Answer:
        """Call over gRPC."""
        name = method or signal.method
        reply = self.channel().unary(
            name,
            body,
            compression=compression,
            metadata=metadata,
            timeout_s=timeout_s or self.receiver.timeout_s,
        )
        sent = f"{name.rpartition('.')[2]} {size(body)}" + _with(compression)
        return self.keep_call(reply, sent, signal=signal)

    def keep_call(self, reply: GrpcReply, sent: str, *, signal: Signal = TRACES) -> Answer:
        """Write a gRPC reply into the journal."""
        answer = Answer(
            self.encoding, signal, sent, reply.code, reply.trailers, reply.body, reply.details
        )
        self.journal.append(answer)
        return answer

    def channel(self) -> GrpcWire:
        """Give the channel that all cases share."""
        assert self._channel is not None, "gRPC cases run with a channel only"
        return self._channel

    def new_channel(self) -> GrpcWire:
        """Open a channel of one's own."""
        assert self.receiver.grpc is not None
        return GrpcWire(self.receiver.grpc)

    def post(
        self,
        body: bytes,
        *,
        signal: Signal = TRACES,
        headers: Mapping[str, str | None] | None = None,
        method: str = "POST",
        path: str | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send over HTTP on a connection of its own; a header given as None is left out."""
        target = path or signal.path
        request = self.request(body, headers, method=method, path=target)
        sent = f"{method} {target} {size(body)}{_headers(headers)}"
        with self.line(timeout_s) as line:
            line.write(request)
            reply = line.read(has_body=method != "HEAD")
        return self.keep(reply, sent, signal=signal)

    def request(
        self,
        body: bytes,
        headers: Mapping[str, str | None] | None = None,
        *,
        method: str = "POST",
        path: str = TRACES.path,
    ) -> bytes:
        """Write a whole request."""
        return self.head(len(body), headers, method=method, path=path) + body

    def head(
        self,
        length: int | None,
        headers: Mapping[str, str | None] | None = None,
        *,
        method: str = "POST",
        path: str = TRACES.path,
    ) -> bytes:
        """Write the head of a request; `length` None leaves `Content-Length` out."""
        address = self.address()
        usual: dict[str, str | None] = {
            "Host": address.host_header,
            "Content-Type": CONTENT_TYPES[self.encoding],
            "Content-Length": None if length is None else str(length),
        }
        given = [(name, value) for name, value in (usual | dict(headers or {})).items() if value]
        return head(method, address.base + path, given)

    def address(self) -> Address:
        """Give the address for HTTP."""
        assert self.receiver.http is not None, "HTTP cases run with an address only"
        return self.receiver.http

    def line(self, timeout_s: float | None = None) -> Line:
        """Open a connection."""
        return Line(self.address(), timeout_s or self.receiver.timeout_s)

    def keep(
        self, reply: Reply, sent: str, *, signal: Signal = TRACES, parsed_as_http: bool = True
    ) -> Answer:
        """Write an HTTP reply into the journal."""
        answer = Answer(
            self.encoding,
            signal,
            sent,
            str(reply.status),
            reply.headers,
            reply.body,
            parsed_as_http=parsed_as_http,
        )
        self.journal.append(answer)
        return answer

    def stored(self) -> Stored:
        """Give the way to count what is stored, or end the case."""
        if self.receiver.stored is None:
            raise NotChecked("needs --count-url or --count-command")
        return self.receiver.stored

    def overload(self) -> Overload:
        """Give the way to overload the receiver, or end the case."""
        if self.receiver.overload is None:
            raise NotChecked("needs a receiver that the embedding test can overload")
        return self.receiver.overload

    def expect_stored(self, trace_id: str, count: int) -> None:
        """Fail unless exactly so many spans of the trace are stored."""
        found = count_when(self.stored(), trace_id, count, STORE_WAIT_S)
        if found != count:
            raise Failed(f"{count} spans stored", f"{found}")

    def expect_nothing_stored(self, *trace_ids: str) -> None:
        """Fail if a span of these traces is stored once a later request is."""
        later = spans(1)
        self.export(later)
        self.expect_stored(trace_id_of(later), 1)
        for trace_id in trace_ids:
            if found := self.stored().spans(trace_id):
                raise Failed("0 spans stored", f"{found}")


def squeeze(body: bytes, compression: Compression) -> bytes:
    """Compress as HTTP names it: `deflate` is zlib's format."""
    if compression == "gzip":
        return gzip.compress(body, 6, mtime=0)
    return zlib.compress(body) if compression == "deflate" else body


def size(body: bytes) -> str:
    """Say how many bytes."""
    if len(body) < 10_000:
        return f"{len(body)} B"
    return f"{len(body) / 1e3:.0f} kB" if len(body) < 1e6 else f"{len(body) / 1e6:.1f} MB"


def _with(compression: Compression) -> str:
    return "" if compression == "none" else f", {compression}"


def _headers(headers: Mapping[str, str | None] | None) -> str:
    return "".join(f", {name}: {value or 'none'}"[:60] for name, value in (headers or {}).items())
