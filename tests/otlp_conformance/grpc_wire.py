"""gRPC with raw bytes: the one door to grpcio, which is optional."""

import importlib
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from tests.otlp_conformance.answer import NoAnswerError

MISSING = "OTLP/gRPC needs grpcio.  Install it with:  pip install grpcio"
Compression = Literal["none", "gzip", "deflate"]
MOST_BYTES = 512 << 20


def installed() -> bool:
    """Tell whether grpcio is there."""
    return importlib.util.find_spec("grpc") is not None


@dataclass(frozen=True, slots=True)
class GrpcReply:
    """One gRPC answer as it came."""

    code: str
    """`OK` or the name of the code."""
    details: str
    """The message of an error."""
    body: bytes
    """The response; of an error the bytes of its `google.rpc.Status`, where one was sent."""
    trailers: dict[str, str]
    """Trailing metadata in text."""


class GrpcWire:
    """One channel to a receiver."""

    def __init__(self, target: str) -> None:
        """Name the receiver (`host:port`); the connection is made by the first call."""
        if not installed():
            raise NoAnswerError(MISSING)
        self._grpc: Any = importlib.import_module("grpc")
        limits = [
            ("grpc.max_send_message_length", MOST_BYTES),
            ("grpc.max_receive_message_length", MOST_BYTES),
            ("grpc.enable_retries", 0),  # a hidden retry would hide an UNAVAILABLE
            ("grpc.use_local_subchannel_pool", 1),  # a channel of its own is a connection too
        ]
        self._channel: Any = self._grpc.insecure_channel(target, options=limits)

    def __enter__(self) -> Self:
        """Use as a context: the channel closes with it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def unary(
        self,
        method: str,
        body: bytes,
        *,
        compression: Compression = "none",
        metadata: Iterable[tuple[str, str | bytes]] = (),
        timeout_s: float,
    ) -> GrpcReply:
        """Call once with these bytes."""
        call = self._channel.unary_unary(method)
        return self._ended(
            lambda: call.with_call(
                body,
                timeout=timeout_s,
                compression=self._compression(compression),
                metadata=tuple(metadata),
            )
        )

    def streamed(self, method: str, bodies: Iterable[bytes], *, timeout_s: float) -> GrpcReply:
        """Call a unary method with none or several messages, which no proper sender does."""
        call = self._channel.stream_unary(method)
        return self._ended(lambda: call.with_call(iter(bodies), timeout=timeout_s))

    def cancelled(self, method: str, body: bytes, *, timeout_s: float) -> None:
        """Call and hang up at once."""
        self._channel.unary_unary(method).future(body, timeout=timeout_s).cancel()

    def _compression(self, name: Compression) -> object:
        kinds = self._grpc.Compression
        return {
            "none": kinds.NoCompression,
            "gzip": kinds.Gzip,
            "deflate": kinds.Deflate,
        }[name]

    def _ended(self, send: Callable[[], tuple[bytes, Any]]) -> GrpcReply:
        try:
            body, call = send()
        except self._grpc.RpcError as error:
            trailers = list(error.trailing_metadata() or ())
            status = next((v for k, v in trailers if k == "grpc-status-details-bin"), b"")
            return GrpcReply(error.code().name, error.details() or "", status, _text(trailers))
        return GrpcReply("OK", "", body, _text(call.trailing_metadata() or ()))


def _text(metadata: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    return {key: value for key, value in metadata if isinstance(value, str)}
