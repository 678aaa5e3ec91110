"""Put the transports under watch, each once the program imports its library, and none before."""

from collections.abc import Callable
from types import ModuleType

from phasewise.imports import when_imported
from phasewise.wire.worker import Worker


def watch_transports(worker: Worker) -> None:
    """Watch httpx, httpx2, aiohttp and urllib3."""
    for name, watching in (
        ("httpx._client", _httpx),
        ("httpx2._client", _httpx),
        ("aiohttp.client_reqrep", _aiohttp),
        ("urllib3.connectionpool", _urllib3),
    ):
        when_imported(name, _with(worker, watching))


def _with(
    worker: Worker, watching: Callable[[ModuleType, Worker], None]
) -> Callable[[ModuleType], None]:
    return lambda module: watching(module, worker)


def _httpx(module: ModuleType, worker: Worker) -> None:
    from phasewise.wire import httpx_transport  # noqa: PLC0415  # only where it is needed

    httpx_transport.watch(module, worker)


def _aiohttp(module: ModuleType, worker: Worker) -> None:
    from phasewise.wire import aiohttp_transport  # noqa: PLC0415  # only where it is needed

    aiohttp_transport.watch(module, worker)


def _urllib3(module: ModuleType, worker: Worker) -> None:
    from phasewise.wire import urllib3_transport  # noqa: PLC0415  # only where it is needed

    urllib3_transport.watch(module, worker)
