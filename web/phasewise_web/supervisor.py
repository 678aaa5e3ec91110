"""The supervisor: keeps the acceptor and the process that owns the database running.

It imports almost nothing, so that it is small and robust. `phasewise up` becomes it:
`python -m phasewise_web.supervisor --db PATH --web FD [--otlp FD --log FOLDER] [--grpc FD]`.
"""

import argparse
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from phasewise_web.local_ring import keep_fetching
from phasewise_web.supervised_process import Child

POLL_S = 0.2
STOPPED = "stopped; everything received is in the database\n"
ACCEPTOR = "phasewise_collector.acceptor"
OWNER = "phasewise_web.database_process"
ROLES = {ACCEPTOR: "receives OTLP", OWNER: "owns the database and serves the pages"}


def main() -> int:
    """Run until SIGTERM or SIGINT; gives 0, or the exit code of a process that could not run."""
    parser = argparse.ArgumentParser(description="Keep acceptor and owner running.")
    parser.add_argument("--db", required=True)
    parser.add_argument("--web", type=int, required=True, help="file number of the listener")
    parser.add_argument("--otlp", type=int, help="file number of the listener of OTLP/HTTP")
    parser.add_argument("--grpc", type=int, help="file number of the socket that keeps its port")
    parser.add_argument("--log", help="the acceptor's folder")
    parser.add_argument("--ring", type=Path, help="where programs of this machine leave spans")
    parser.add_argument("--allow-host", action="append", default=[], help="a name to answer to")
    arguments = parser.parse_args()
    names = [word for name in arguments.allow_host for word in ("--allow-host", name)]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    children: list[Child] = []
    try:
        words = ["--db", arguments.db, "--web", str(arguments.web), *names]
        if arguments.otlp is not None:
            words += ["--log", arguments.log]
            children.append(
                _acceptor(arguments.otlp, arguments.grpc, ["--log", arguments.log, *names])
            )
            _fetch(arguments.otlp, arguments.ring, stop)
        children.append(Child(OWNER, words, [arguments.web]))
        while not stop.wait(POLL_S) and not any(child.ended.is_set() for child in children):
            pass
        failed = next((child for child in children if child.ended.is_set()), None)
        code = 0 if failed is None else failed.exit_code or 0
    finally:
        for child in children:  # the acceptor first: nothing is acknowledged behind the loader
            child.stop()
    if failed is not None:
        sys.stderr.write(
            f"phasewise up: the process that {ROLES[failed.module]} could not start; see the "
            "error above.  `phasewise doctor` checks what is installed\n"
        )
    else:
        sys.stderr.write(STOPPED)
    return code


def _acceptor(otlp: int, grpc: int | None, more: Sequence[str]) -> Child:
    words = ["--socket", str(otlp), *more]
    if grpc is not None:
        host, port = _address(grpc)
        words += ["--grpc", f"{host}:{port}"]
    return Child(ACCEPTOR, words, [otlp], standby=True)


def _fetch(otlp: int, ring: Path, stop: threading.Event) -> None:
    _, port = _address(otlp)
    threading.Thread(
        target=keep_fetching, args=(port, ring, stop), name="local-ring", daemon=True
    ).start()


def _address(handle: int) -> tuple[str, int]:
    with socket.socket(fileno=handle) as borrowed:
        host, port = borrowed.getsockname()[:2]
        borrowed.detach()
    return str(host), int(port)


if __name__ == "__main__":
    sys.exit(main())
