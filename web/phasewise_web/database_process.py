"""The process that owns the database: loads what the acceptor has logged, and serves the pages.

The supervisor starts it with the pages' socket, which stays open across its restarts:
`python -m phasewise_web.database_process --db PATH --web FD [--log FOLDER]`.
"""

import argparse
import importlib
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from phasewise_collector.hosts import Hosts
from phasewise_collector.loader import Loader
from phasewise_collector.parent import LATER, say_ready, stop_with_parent
from phasewise_store.errors import PhasewiseError
from phasewise_store.store import Store

from phasewise_web.app import compile_templates, make_app
from phasewise_web.background.process import BackgroundProcess

POLL_S = 0.02
SWITCH_S = 0.0005
"""a thread that analyses hands Python on to one that makes a page after so long; 5 ms is usual, and
a page takes its turn some fifty times"""


def own(database: Path, web: socket.socket, log: Path | None, hosts: Hosts) -> int:
    """Serve until SIGTERM; what was acknowledged by then is loaded before it returns."""
    with Store.own(database) as store:
        store.work_for_others()
        loader = None if log is None else Loader(store, log)
        background = BackgroundProcess(database)
        config = uvicorn.Config(
            make_app(store, loader, hosts, background),
            access_log=False,
            log_level="warning",
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        broken: list[Exception] = []

        def give_up(error: Exception) -> None:
            broken.append(error)
            server.should_exit = True

        say_ready()
        try:
            with _working(server, store, loader, background, give_up):
                server.run(sockets=[web])
        except KeyboardInterrupt:
            pass  # that is how it ends
        finally:
            background.close()
        return LATER if broken else 0  # the database must be opened again, as after a full disk


@contextmanager
def _working(
    server: uvicorn.Server,
    store: Store,
    loader: Loader | None,
    background: BackgroundProcess,
    give_up: Callable[[Exception], None],
) -> Iterator[None]:
    """Load and analyse in threads, once the pages answer; at the end load what was received.

    They start one after another: beside each other they would leave a page a fourth of Python.
    """
    stop = threading.Event()
    turn = threading.Lock()

    def begin(name: str) -> None:
        while not server.started and not stop.wait(POLL_S):
            pass
        try:
            with turn:
                module = importlib.import_module("phasewise_web.analysis_threads")
            getattr(module, name)(store, loader, stop)
        except Exception as error:
            give_up(error)

    def start_background() -> None:
        while not server.started and not stop.wait(POLL_S):
            pass
        with turn:
            compile_templates()
        if not stop.is_set():
            background.start()

    threads = [
        threading.Thread(target=begin, args=("work",), name="loader"),
        threading.Thread(target=begin, args=("work_again",), name="analysing again"),
        threading.Thread(target=start_background, name="background"),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def main() -> int:
    """Run; the supervisor gives the arguments."""
    parser = argparse.ArgumentParser(description="Own the database and serve the pages.")
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--web", type=int, required=True, help="file number of the listener")
    parser.add_argument("--log", type=Path, help="the acceptor's log; none: pages only")
    parser.add_argument("--allow-host", action="append", default=[], help="a name to answer to")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    sys.setswitchinterval(SWITCH_S)
    stop_with_parent()
    try:
        hosts = Hosts(arguments.allow_host)
        return own(arguments.db, socket.socket(fileno=arguments.web), arguments.log, hosts)
    except PhasewiseError as error:
        sys.stderr.write(f"phasewise: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
