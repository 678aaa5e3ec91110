"""The OTLP/gRPC receiver: raw bytes in, raw bytes out, no message object before the response.

gRPC's own decompression is off, since it has no size limit. The same code as for HTTP decompresses,
and detects compression by the first bytes, which no uncompressed OTLP request can start with.
"""

import errno
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import grpc
from grpc import aio

from phasewise_collector.hosts import Hosts
from phasewise_collector.otlp.body import TooLargeError, UnknownEncodingError
from phasewise_collector.otlp.intake import Intake, LaterError
from phasewise_collector.otlp.response import Code, response, rpc_status
from phasewise_collector.otlp.signals import Signal
from phasewise_collector.otlp.spans import MalformedError

_PACKAGE = "/opentelemetry.proto.collector"
METHODS: Mapping[str, Signal] = {
    f"{_PACKAGE}.trace.v1.TraceService/Export": "traces",
    f"{_PACKAGE}.metrics.v1.MetricsService/Export": "metrics",
    f"{_PACKAGE}.logs.v1.LogsService/Export": "logs",
}
MOST_AT_ONCE = 64
"""calls; more are told to come back"""
_SLACK_BYTES = 64 << 10
_STATUS_KEY = "grpc-status-details-bin"
_COMPRESSED = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))
_ZLIB_FIRST = 0x78  # as a plain request: field 15 as a number, which OTLP does not have

Context: TypeAlias = "aio.ServicerContext[bytes, bytes]"


class GrpcReceiver:
    """Listens for OTLP/gRPC; used from the event loop of its intake."""

    def __init__(self, intake: Intake, hosts: Hosts | None = None) -> None:
        self._intake = intake
        self._hosts = hosts or Hosts()
        limit_bytes = intake.limit_bytes + _SLACK_BYTES  # the exact limit is the intake's to hold
        self._server = aio.server(
            options=[
                ("grpc.max_receive_message_length", limit_bytes),
                ("grpc.per_message_decompression", 0),
                ("grpc.so_reuseport", 1),
            ],
            maximum_concurrent_rpcs=MOST_AT_ONCE,
        )
        self._server.add_generic_rpc_handlers((_Handlers(self._respond),))

    async def start(self, address: str) -> int:
        """Listen at `host:port`; give the port. Raises OSError when it is taken."""
        try:
            port: int = self._server.add_insecure_port(address)
        except RuntimeError as error:  # gRPC has no more to say than that
            raise OSError(errno.EADDRINUSE, f"gRPC cannot listen on {address}: {error}") from error
        await self._server.start()
        return port

    async def stop(self, grace_s: float) -> None:
        """Take no more; let what was begun end within the grace."""
        await self._server.stop(grace_s)

    async def _respond(self, signal: Signal, body: bytes, context: Context) -> bytes:
        # a browser that speaks gRPC says which page asks; the name it asks by is not shown here
        said = {name: str(value) for name, value in context.invocation_metadata() or ()}
        refusal = self._hosts.refusal({"origin": said["origin"]} if "origin" in said else {})
        if refusal is not None:
            self._intake.counts.refused_requests += 1
            return await _abort(context, Code.PERMISSION_DENIED, refusal)
        try:
            taken = await self._intake.take(signal, "protobuf", encoding_of(body), body)
        except MalformedError as error:
            self._intake.counts.refused_requests += 1
            return await _abort(context, Code.INVALID_ARGUMENT, str(error))
        except (TooLargeError, UnknownEncodingError) as error:
            self._intake.counts.refused_requests += 1
            return await _abort(context, Code.RESOURCE_EXHAUSTED, str(error))
        except LaterError as error:
            self._intake.counts.postponed_requests += 1
            return await _abort(context, Code.UNAVAILABLE, str(error), retry_s=error.retry_s)
        return response(signal, taken.rejected, taken.message)


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, respond: Callable[[Signal, bytes, Context], Awaitable[bytes]]) -> None:
        self._methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            method: grpc.unary_unary_rpc_method_handler(_bound(respond, signal))
            for method, signal in METHODS.items()
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._methods.get(str(handler_call_details.method))


def encoding_of(body: bytes) -> str:
    """Say how a message is compressed."""
    for magic, name in _COMPRESSED:
        if body.startswith(magic):
            return name
    if len(body) > 1 and body[0] == _ZLIB_FIRST and int.from_bytes(body[:2], "big") % 31 == 0:
        return "deflate"
    return ""


def _bound(
    respond: Callable[[Signal, bytes, Context], Awaitable[bytes]], signal: Signal
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    async def answer(body: bytes, context: Context) -> bytes:
        return await respond(signal, body, context)

    return answer


async def _abort(
    context: Context,
    code: Code,
    message: str,
    *,
    retry_s: int | None = None,
) -> bytes:
    details = rpc_status(code, message, retry_s=retry_s).SerializeToString()
    await context.abort(
        getattr(grpc.StatusCode, code.name), message, trailing_metadata=((_STATUS_KEY, details),)
    )
    raise AssertionError("abort raises")
