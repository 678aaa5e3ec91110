"""Watch httpx and httpx2, waiting or not: each single request of a client, retries and all.

The hook stands above the client's transport, so that a transport of the program's own is seen too.
"""

from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from functools import wraps
from types import ModuleType
from typing import Any

from phasewise.wire.exchange import Exchange
from phasewise.wire.worker import Worker

INSIDE: ContextVar[Exchange | None] = ContextVar("phasewise_wire_inside", default=None)
"""the exchange of a client above: a transport of httpx may itself send with aiohttp"""

_SENDING = ".send_request_headers.started"
"""httpcore's own event, told to an extension that stays in this process: before it come the
connection and TLS, which are no part of the model's time"""


def watch(module: ModuleType, worker: Worker) -> None:
    """Watch the clients of this module, `httpx._client` or its like."""
    _watch_sync(module.Client, module.SyncByteStream, worker)
    _watch_async(module.AsyncClient, module.AsyncByteStream, worker)


def _begin(worker: Worker, request: Any) -> Exchange | None:  # noqa: ANN401  # httpx's Request
    # the content of a request that is itself a stream is not there
    body = getattr(request, "_content", None)
    return worker.begin(request.method, request.url, body)


def _watch_sync(client: Any, base: type, worker: Worker) -> None:  # noqa: ANN401  # a class
    before = client._send_single_request

    @wraps(before)
    def send(self: object, request: Any, *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        exchange = _begin(worker, request)
        if exchange is None:
            return before(self, request, *rest, **named)

        def trace(event: str, _: object) -> None:
            if event.endswith(_SENDING):
                exchange.sent()

        token = INSIDE.set(exchange)
        extensions = request.extensions
        request.extensions = {"trace": trace} | extensions
        try:
            response = before(self, request, *rest, **named)
        except BaseException as error:
            exchange.fail(error)
            raise
        finally:
            request.extensions = extensions
            INSIDE.reset(token)
        exchange.answered(response.status_code, response.headers)
        response.stream = tee(response.stream, exchange)
        return response

    class Tee(base):  # type: ignore[misc]  # the client asks that a stream be of its class
        def __init__(self, stream: Any, exchange: Exchange) -> None:  # noqa: ANN401
            self._stream = stream
            self._exchange = exchange

        def __iter__(self) -> Iterator[bytes]:
            exchange = self._exchange
            try:
                for data in self._stream:
                    exchange.chunk(data)
                    yield data
            except GeneratorExit:
                exchange.leave()
                raise
            except BaseException as error:
                exchange.fail(error)
                raise
            exchange.end()

        def close(self) -> None:
            self._stream.close()
            self._exchange.leave()

        def __del__(self) -> None:
            self._exchange.leave()

    tee = Tee
    client._send_single_request = send


def _watch_async(client: Any, base: type, worker: Worker) -> None:  # noqa: ANN401  # a class
    before = client._send_single_request

    @wraps(before)
    async def send(self: object, request: Any, *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        exchange = _begin(worker, request)
        if exchange is None:
            return await before(self, request, *rest, **named)

        async def trace(event: str, _: object) -> None:
            if event.endswith(_SENDING):
                exchange.sent()

        token = INSIDE.set(exchange)
        extensions = request.extensions
        request.extensions = {"trace": trace} | extensions
        try:
            response = await before(self, request, *rest, **named)
        except BaseException as error:
            exchange.fail(error)
            raise
        finally:
            request.extensions = extensions
            INSIDE.reset(token)
        exchange.answered(response.status_code, response.headers)
        response.stream = tee(response.stream, exchange)
        return response

    class Tee(base):  # type: ignore[misc]  # the client asks that a stream be of its class
        def __init__(self, stream: Any, exchange: Exchange) -> None:  # noqa: ANN401
            self._stream = stream
            self._exchange = exchange

        async def __aiter__(self) -> AsyncIterator[bytes]:
            exchange = self._exchange
            try:
                async for data in self._stream:
                    exchange.chunk(data)
                    yield data
            except GeneratorExit:
                exchange.leave()
                raise
            except BaseException as error:
                exchange.fail(error)
                raise
            exchange.end()

        async def aclose(self) -> None:
            await self._stream.aclose()
            self._exchange.leave()

        def __del__(self) -> None:
            self._exchange.leave()

    tee = Tee
    client._send_single_request = send
