"""Run collector and web UI on one database: open the sockets, then become the supervisor.

Used by `up`, `web` and `demo`. The acceptor receives and logs; the process that owns the database
loads and serves the pages. The sockets belong to the supervisor and stay open when either process
is replaced, so clients wait for a moment instead of being refused.
"""

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from phasewise import settings
from phasewise_store.errors import UsageError

HOST = "127.0.0.1"
WEB_PORT = 8321
OTLP_PORT = 4318
GRPC_PORT = 4317


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where to listen; port 0 takes a free one."""

    host: str = HOST
    web_port: int = WEB_PORT
    otlp_port: int | None = OTLP_PORT
    """of OTLP/HTTP; None serves the pages only"""
    grpc_port: int | None = GRPC_PORT
    """of OTLP/gRPC"""
    names: tuple[str, ...] = ()
    """that are answered beside this machine's own; `*` is every name"""


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


def serve(database: Path, listeners: Listeners, names: Sequence[str] = ()) -> NoReturn:
    """Become the supervisor, until Ctrl-C or SIGTERM; its exit code is this process's.

    What this process has in memory by now, all of Phasewise, is not needed to supervise.
    """
    words = ["--db", str(database), "--web", _kept(listeners.web)]
    words += [word for name in names for word in ("--allow-host", name)]
    if listeners.otlp is not None:
        words += ["--otlp", _kept(listeners.otlp), "--log", str(log_folder(database))]
        words += ["--ring", str(settings.ring_folder(None))]
        if listeners.grpc is not None:
            words += ["--grpc", _kept(listeners.grpc)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "phasewise_web.supervisor", *words])  # noqa: S606  # our own program


def _kept(listener: socket.socket) -> str:
    """Keep a socket open through the change of program; give its file number."""
    listener.set_inheritable(True)
    return str(listener.fileno())


def log_folder(database: Path) -> Path:
    """Return where the acceptor logs: beside the database."""
    return database.with_name(f"{database.name}.received")


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
    except OverflowError:
        listener.close()
        raise UsageError(f"{option} {port}: a port must be between 0 and 65535") from None
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}. Is another `phasewise up` running? "
            f"Choose another port with {option}"
        ) from None
