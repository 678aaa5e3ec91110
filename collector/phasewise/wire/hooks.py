"""Put the transports under watch, each once the program imports its library, and none before."""

import importlib
from collections.abc import Callable
from types import ModuleType

from phasewise.imports import when_imported
from phasewise.wire.worker import Worker

_TRANSPORTS = {
    "httpx._client": "httpx_transport",
    "httpx2._client": "httpx_transport",
    "aiohttp.client_reqrep": "aiohttp_transport",
    "urllib3.connectionpool": "urllib3_transport",
    "dspy._vendor.lm15.transports._sync": "lm15_transport",
    "dspy._vendor.lm15.transports._async": "lm15_transport",
}
"""the module of a library, and ours that watches it"""


def watch_transports(worker: Worker) -> None:
    """Watch httpx, httpx2, aiohttp, urllib3 (requests, botocore), and DSPy's own client."""
    for library, ours in _TRANSPORTS.items():
        when_imported(library, _watching(ours, worker))


def _watching(ours: str, worker: Worker) -> Callable[[ModuleType], None]:
    def watch(module: ModuleType) -> None:
        importlib.import_module(f"phasewise.wire.{ours}").watch(module, worker)

    return watch
