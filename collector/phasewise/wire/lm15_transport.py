"""Watch lm15, the HTTP client over plain sockets that DSPy 3.4 carries inside."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from types import ModuleType
from typing import Any

from phasewise.wire.exchange import Exchange
from phasewise.wire.worker import Worker


def watch(module: ModuleType, worker: Worker) -> None:
    """Watch `lm15.transports._sync` or `._async`, each of which has one of the two."""
    waiting = getattr(module, "StdlibTransport", None)
    if waiting is not None:
        waiting.stream = _streaming(waiting.stream, worker)
    other = getattr(module, "StdlibAsyncTransport", None)
    if other is not None:
        other._do_stream = _streaming_async(other._do_stream, worker)


def _streaming(before: Callable[..., Any], worker: Worker) -> Callable[..., Any]:
    @wraps(before)
    def stream(self: Any, request: Any) -> Any:  # noqa: ANN401  # lm15's own
        exchange = worker.begin(request.method, request.url, request.body)
        if exchange is None:
            return before(self, request)
        try:
            response = before(self, request)
        except BaseException as error:
            exchange.fail(error)
            raise
        _answered(response, exchange)
        response._chunks = _kept(response._chunks, exchange)
        release = response._release

        def released(*arguments: Any) -> Any:  # noqa: ANN401
            exchange.leave()
            return release(*arguments)

        response._release = released
        return response

    return stream


def _streaming_async(before: Callable[..., Any], worker: Worker) -> Callable[..., Any]:
    @wraps(before)
    async def stream(self: Any, request: Any) -> Any:  # noqa: ANN401  # lm15's own
        exchange = worker.begin(request.method, request.url, request.body)
        if exchange is None:
            return await before(self, request)
        try:
            response = await before(self, request)
        except BaseException as error:
            exchange.fail(error)
            raise
        _answered(response, exchange)
        response._chunks = _kept_async(response._chunks, exchange)
        release = response._release

        async def released(*arguments: Any) -> Any:  # noqa: ANN401
            exchange.leave()
            return await release(*arguments)

        response._release = released
        return response

    return stream


def _answered(response: Any, exchange: Exchange) -> None:  # noqa: ANN401  # lm15's response
    exchange.answered(response.status, {name.lower(): one for name, one in response.headers})


def _kept(chunks: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
    try:
        for data in chunks:
            exchange.chunk(data)
            yield data
    except GeneratorExit:
        exchange.leave()
        raise
    except BaseException as error:
        exchange.fail(error)
        raise
    exchange.end()


async def _kept_async(chunks: AsyncIterator[bytes], exchange: Exchange) -> AsyncIterator[bytes]:
    try:
        async for data in chunks:
            exchange.chunk(data)
            yield data
    except GeneratorExit:
        exchange.leave()
        raise
    except BaseException as error:
        exchange.fail(error)
        raise
    exchange.end()
