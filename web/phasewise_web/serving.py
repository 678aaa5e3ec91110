"""Collector and pages over one database: the acceptor, a process of its own, and this process.

`up` and `demo` serve with it. The acceptor's socket belongs to this process and stays open when the
acceptor is replaced, so that senders wait for a moment instead of being refused.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from phasewise_analyzer.analyse import analyse
from phasewise_collector.loader import Loader
from phasewise_store.errors import UsageError
from phasewise_store.store import Store

from phasewise_web.app import make_app

HOST = "127.0.0.1"
WEB_PORT = 8321
OTLP_PORT = 4318
RESTART_S = 0.2
STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where to listen; port 0 takes a free one."""

    host: str = HOST
    web_port: int = WEB_PORT
    otlp_port: int | None = OTLP_PORT
    """None serves the pages only"""


@contextmanager
def opened(addresses: Addresses) -> Iterator[tuple[socket.socket, socket.socket | None]]:
    """Open the listeners, the pages' first; raises UsageError where a port is taken."""
    with ExitStack() as stack:
        web = stack.enter_context(_listener(addresses.host, addresses.web_port, "--port"))
        otlp = None
        if addresses.otlp_port is not None:
            otlp = stack.enter_context(
                _listener(addresses.host, addresses.otlp_port, "--otlp-port")
            )
        yield web, otlp


def serve(store: Store, web: socket.socket, otlp: socket.socket | None) -> None:
    """Serve until Ctrl-C or SIGTERM; what was acknowledged by then is loaded before it returns."""
    config = uvicorn.Config(
        make_app(store), access_log=False, log_level="warning", lifespan="off", server_header=False
    )
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        if otlp is None:
            uvicorn.Server(config).run(sockets=[web])
        else:
            with _collecting(store, otlp):
                uvicorn.Server(config).run(sockets=[web])
    except KeyboardInterrupt:
        pass  # that is how it ends
    finally:
        signal.signal(signal.SIGTERM, previous)


def log_folder(store: Store) -> Path:
    """Give where the acceptor logs: beside the database."""
    if store.path is None:
        return Path(tempfile.mkdtemp(prefix="phasewise-"))
    return store.path.with_name(f"{store.path.name}.received")


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def _listener(host: str, port: int, option: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}. Is another `phasewise up` running? "
            f"Choose another port with {option}"
        ) from None
    listener.listen(1024)
    return listener


@contextmanager
def _collecting(store: Store, listener: socket.socket) -> Iterator[None]:
    """Keep the acceptor running and load what it logs, for the length of the block."""
    folder = log_folder(store)
    stop = threading.Event()
    loader = Loader(store, folder)
    acceptor = Acceptor(listener, folder)
    threads = [
        threading.Thread(target=acceptor.keep_running, args=(stop,), name="acceptor"),
        threading.Thread(target=loader.follow, args=(stop, lambda: analyse(store)), name="loader"),
    ]
    threads[0].start()
    threads[1].start()
    try:
        yield
    finally:
        acceptor.stop()  # first: nothing is acknowledged behind the loader's back
        stop.set()
        for thread in threads:
            thread.join()


class Acceptor:
    """The acceptor process; a new one takes its place when it ends."""

    def __init__(self, listener: socket.socket, folder: Path) -> None:
        self._listener = listener
        self._folder = folder
        self._guard = threading.Lock()
        self._stopping = False
        self._process = self._start()

    @property
    def pid(self) -> int:
        """The number of the process that runs now."""
        return self._process.pid

    def keep_running(self, stop: threading.Event) -> None:
        """Replace the process whenever it ends, until told to stop."""
        while not stop.wait(RESTART_S):
            with self._guard:
                if self._process.poll() is not None and not self._stopping:
                    self._process = self._start()

    def stop(self) -> None:
        """Let it answer what it has taken, and end it."""
        with self._guard:
            self._stopping = True
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        handle = self._listener.fileno()
        os.set_inheritable(handle, True)
        command = [
            *(sys.executable, "-m", "phasewise_collector.acceptor"),
            *("--socket", str(handle), "--log", str(self._folder)),
        ]
        return subprocess.Popen(  # noqa: S603  # our own program
            command,
            stdin=subprocess.PIPE,  # it ends when this pipe closes, however this process ends
            stdout=subprocess.DEVNULL,
            pass_fds=[handle],
            start_new_session=True,  # a Ctrl-C at the terminal is ours to hand on
        )
