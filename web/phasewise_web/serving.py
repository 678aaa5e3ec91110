"""Collector and pages over one database: three processes, of which this one only supervises.

`up`, `web` and `demo` serve with it. The acceptor receives and logs, the owner of the database
loads and serves the pages; the sockets belong to the supervisor and stay open when either is
replaced, so that senders and readers wait for a moment instead of being refused.
"""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from phasewise_store.errors import UsageError

from phasewise_web import local_ring
from phasewise_web.supervising import Child

HOST = "127.0.0.1"
WEB_PORT = 8321
OTLP_PORT = 4318
GRPC_PORT = 4317
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where to listen; port 0 takes a free one."""

    host: str = HOST
    web_port: int = WEB_PORT
    otlp_port: int | None = OTLP_PORT
    """of OTLP/HTTP; None serves the pages only"""
    grpc_port: int | None = GRPC_PORT
    """of OTLP/gRPC"""


@dataclass(frozen=True, slots=True)
class Listeners:
    """The sockets, open."""

    web: socket.socket
    otlp: socket.socket | None = None
    grpc: socket.socket | None = None
    """bound and not listening: it keeps the port for the acceptor's own sockets"""


@contextmanager
def opened(addresses: Addresses) -> Iterator[Listeners]:
    """Open the listeners; raises UsageError where a port is taken."""
    with ExitStack() as stack:
        host = addresses.host
        web = stack.enter_context(_listener(host, addresses.web_port, "--port"))
        otlp = grpc = None
        if addresses.otlp_port is not None:
            otlp = stack.enter_context(_listener(host, addresses.otlp_port, "--otlp-port"))
            if addresses.grpc_port is not None:
                grpc = stack.enter_context(_reserved(host, addresses.grpc_port, "--grpc-port"))
        yield Listeners(web, otlp, grpc)


def serve(database: Path, listeners: Listeners) -> int:
    """Serve until Ctrl-C or SIGTERM; what was acknowledged by then is loaded before it returns.

    Gives 0, or the exit code of a process that could not run at all.
    """
    stop = threading.Event()
    previous = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    children: list[Child] = []
    try:
        arguments = ["--db", str(database), "--web", str(listeners.web.fileno())]
        if listeners.otlp is not None:
            log = str(log_folder(database))
            arguments += ["--log", log]
            children.append(_acceptor(listeners, listeners.otlp, log))
            port = listeners.otlp.getsockname()[1]
            threading.Thread(
                target=local_ring.keep_fetching, args=(port, stop), name="local-ring", daemon=True
            ).start()
        children.append(Child("phasewise_web.owner", arguments, [listeners.web.fileno()]))
        while not stop.wait(POLL_S) and not any(child.ended.is_set() for child in children):
            pass
        return next((child.exit_code or 0 for child in children if child.ended.is_set()), 0)
    finally:
        for child in children:  # the acceptor first: nothing is acknowledged behind the loader
            child.stop()
        for number, handler in previous.items():
            signal.signal(number, handler)


def log_folder(database: Path) -> Path:
    """Give where the acceptor logs: beside the database."""
    return database.with_name(f"{database.name}.received")


def _acceptor(listeners: Listeners, otlp: socket.socket, log: str) -> Child:
    arguments = ["--socket", str(otlp.fileno()), "--log", log]
    if listeners.grpc is not None:
        host, port = listeners.grpc.getsockname()[:2]
        arguments += ["--grpc", f"{host}:{port}"]
    return Child("phasewise_collector.acceptor", arguments, [otlp.fileno()], standby=True)


def _listener(host: str, port: int, option: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _bind(listener, host, port, option)
    listener.listen(1024)
    return listener


def _reserved(host: str, port: int, option: str) -> socket.socket:
    """Bind a port that the acceptor, and its successors, will listen on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(probe, host, port, option)  # taken by another program that would share it, too
    reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    _bind(reserved, host, port, option)
    return reserved


def _bind(listener: socket.socket, host: str, port: int, option: str) -> None:
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}. Is another `phasewise up` running? "
            f"Choose another port with {option}"
        ) from None
