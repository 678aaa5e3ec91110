"""Watch urllib3, and so requests and botocore, which send through it: each attempt of a request."""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import wraps
from types import ModuleType
from typing import Any

from phasewise.wire.exchange import Exchange
from phasewise.wire.httpx_transport import INSIDE
from phasewise.wire.worker import Worker


def watch(module: ModuleType, worker: Worker) -> None:
    """Watch `urllib3.connectionpool`."""
    pool = module.HTTPConnectionPool
    pool._make_request = _requesting(pool._make_request, worker)
    module.HTTPConnection.request = _sending(module.HTTPConnection.request)


_SENT: ContextVar[Exchange | None] = ContextVar("phasewise_wire_sent", default=None)
"""the exchange of the request that is being sent"""


def _sending(before: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(before)
    def request(self: Any, *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        exchange = _SENT.get() or INSIDE.get()
        if exchange is not None:
            exchange.sent()
        return before(self, *rest, **named)

    return request


def _requesting(before: Callable[..., Any], worker: Worker) -> Callable[..., Any]:
    @wraps(before)
    def request(self: Any, conn: Any, method: str, url: str, *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        body = named["body"] if "body" in named else (rest[0] if rest else None)
        outer = INSIDE.get()
        exchange = None if outer else worker.begin(method, _Address(self, url), body)
        if exchange is None:
            return before(self, conn, method, url, *rest, **named)
        token = _SENT.set(exchange)
        try:
            response = before(self, conn, method, url, *rest, **named)
        except BaseException as error:
            exchange.fail(error)
            raise
        finally:
            _SENT.reset(token)
        exchange.answered(response.status, response.headers)
        _tee(response, exchange)
        return response

    return request


class _Address:
    """Written out by the worker only."""

    def __init__(self, pool: Any, url: str) -> None:  # noqa: ANN401  # urllib3's pool
        self._parts = pool.scheme, pool.host, pool.port, url

    def __str__(self) -> str:
        scheme, host, port, url = self._parts
        if "://" in url:
            return url  # through a proxy
        at = f"[{host}]" if ":" in host else host
        return f"{scheme}://{at}{'' if port is None else f':{port}'}{url}"


def _tee(response: Any, exchange: Exchange) -> None:  # noqa: ANN401  # urllib3's HTTPResponse
    """Keep what is read from this one response, by a class of its own that is otherwise the same.

    Wrappers on the object would make a cycle of references, and an answer that the program drops
    would keep its connection until Python's next search for cycles.
    """
    preloaded = getattr(response, "_body", None)
    if preloaded is not None:
        exchange.chunk(preloaded)
        exchange.end()
        return
    response._phasewise = _Keeping(exchange)
    response.__class__ = _watched(type(response))


class _Keeping:
    """Goes with its response: one that nobody reads to the end has been left."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def __del__(self) -> None:
        self.exchange.leave()


def _watched(base: type[Any]) -> type[Any]:
    if base not in _WATCHED:
        _WATCHED[base] = _watching(base)
    return _WATCHED[base]


_WATCHED: dict[type[Any], type[Any]] = {}
"""the classes made so far, by the one each stands in for"""


def _watching(base: Any) -> type[Any]:  # noqa: ANN401  # a class
    class Watched(base):  # type: ignore[misc]  # whichever class urllib3 made
        def read(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            return self._kept(super().read, *arguments, **named)

        def read1(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            return self._kept(super().read1, *arguments, **named)

        def _kept(self, read: Callable[..., Any], *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            exchange: Exchange = self._phasewise.exchange
            try:
                data = read(*arguments, **named)
            except BaseException as error:
                exchange.fail(error)
                raise
            exchange.chunk(data or b"")
            if self._fp is None or self._fp.closed or self.length_remaining == 0:
                exchange.end()
            return data

        def read_chunked(self, *arguments: Any, **named: Any) -> Iterator[bytes]:  # noqa: ANN401
            exchange: Exchange = self._phasewise.exchange
            try:
                for data in super().read_chunked(*arguments, **named):
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
            super().close()
            self._phasewise.exchange.leave()

    Watched.__name__, Watched.__qualname__ = base.__name__, base.__qualname__
    Watched.__module__ = base.__module__
    return Watched
