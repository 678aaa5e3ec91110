"""Watch aiohttp: each request as it is written, and whatever the program reads of the answer."""

from collections.abc import Awaitable, Callable
from functools import wraps
from types import ModuleType
from typing import Any

import wrapt

from phasewise.wire.exchange import Exchange
from phasewise.wire.httpx_transport import INSIDE
from phasewise.wire.worker import Worker

_MARK = "_phasewise_exchange"


def watch(module: ModuleType, worker: Worker) -> None:
    """Watch `aiohttp.client_reqrep`: the request's sending, the answer's beginning and closing."""
    request, response = module.ClientRequest, module.ClientResponse
    request.send = _sending(request.send, worker)
    response.start = _starting(response.start)
    response.close = _closing(response.close)
    response.release = _closing(response.release)


def _body(request: Any) -> object:  # noqa: ANN401  # aiohttp's ClientRequest
    body = getattr(request, "_body", None)
    if body is None:
        body = getattr(request, "body", None)
    return body if isinstance(body, bytes) else getattr(body, "_value", None)


def _sending(before: Callable[..., Awaitable[Any]], worker: Worker) -> Callable[..., Any]:
    @wraps(before)
    async def send(self: Any, *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        outer = INSIDE.get()
        if outer is not None:
            outer.sent()
            return await before(self, *rest, **named)
        exchange = worker.begin(self.method, self.url, _body(self))
        if exchange is None:
            return await before(self, *rest, **named)
        exchange.sent()
        try:
            response = await before(self, *rest, **named)
        except BaseException as error:
            exchange.fail(error)
            raise
        setattr(response, _MARK, exchange)
        return response

    return send


def _starting(before: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    @wraps(before)
    async def start(self: Any, *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        exchange: Exchange | None = getattr(self, _MARK, None)
        if exchange is None:
            return await before(self, *rest, **named)
        try:
            started = await before(self, *rest, **named)
        except BaseException as error:
            exchange.fail(error)
            raise
        exchange.answered(self.status, self.headers)
        self.content = _Reader(self.content, exchange)
        return started

    return start


def _closing(before: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(before)
    def close(self: Any, *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        exchange: Exchange | None = getattr(self, _MARK, None)
        if exchange is not None:
            exchange.leave()
        return before(self, *rest, **named)

    return close


class _Reader(wrapt.ObjectProxy):  # type: ignore[type-arg]  # generic for checkers only
    """aiohttp's StreamReader; what is read from it is kept."""

    def __init__(self, reader: Any, exchange: Exchange) -> None:  # noqa: ANN401
        super().__init__(reader)
        self._self_exchange = exchange

    def _self_keep(self, data: bytes) -> bytes:
        self._self_exchange.chunk(data)
        if self.__wrapped__.at_eof():
            self._self_exchange.end()
        return data

    async def _self_read(self, reading: Awaitable[bytes]) -> bytes:
        try:
            data = await reading
        except BaseException as error:
            self._self_exchange.fail(error)
            raise
        return self._self_keep(data)

    async def read(self, n: int = -1) -> bytes:
        """Read as the stream does."""
        return await self._self_read(self.__wrapped__.read(n))

    async def readany(self) -> bytes:
        """Read as the stream does."""
        return await self._self_read(self.__wrapped__.readany())

    async def readline(self, **named: Any) -> bytes:  # noqa: ANN401
        """Read as the stream does."""
        return await self._self_read(self.__wrapped__.readline(**named))

    async def readuntil(self, *rest: Any, **named: Any) -> bytes:  # noqa: ANN401
        """Read as the stream does."""
        return await self._self_read(self.__wrapped__.readuntil(*rest, **named))

    async def readexactly(self, n: int) -> bytes:
        """Read as the stream does."""
        return await self._self_read(self.__wrapped__.readexactly(n))

    async def readchunk(self) -> tuple[bytes, bool]:
        """Read as the stream does."""
        try:
            data, ended = await self.__wrapped__.readchunk()
        except BaseException as error:
            self._self_exchange.fail(error)
            raise
        return self._self_keep(data), ended

    def read_nowait(self, n: int = -1) -> bytes:
        """Read as the stream does."""
        return self._self_keep(self.__wrapped__.read_nowait(n))

    def __aiter__(self) -> Any:  # noqa: ANN401  # aiohttp's iterators, over this reader
        return type(self.__wrapped__).__aiter__(self)

    def iter_chunked(self, n: int) -> Any:  # noqa: ANN401
        """Iterate as the stream does."""
        return type(self.__wrapped__).iter_chunked(self, n)

    def iter_any(self) -> Any:  # noqa: ANN401
        """Iterate as the stream does."""
        return type(self.__wrapped__).iter_any(self)

    def iter_chunks(self) -> Any:  # noqa: ANN401
        """Iterate as the stream does."""
        return type(self.__wrapped__).iter_chunks(self)

    def __del__(self) -> None:
        self._self_exchange.leave()
