"""Runs an engine server and stops it, with all its children, when the replay ends for any reason.

A separate program, started as `python server_guard.py GRACE COMMAND…` in a new process group with a
pipe as its standard input. The pipe closes when the replay closes it or is killed, so a server that
holds a GPU never outlives the run that started it. GRACE is how many seconds the server may take to
exit after SIGTERM.

The work is done by a child of the process that the replay starts: a cluster kills the children of a
process that it ends, and would leave the server without a guard.
"""

import os
import signal
import subprocess
import sys
import threading
import time


def main() -> None:
    """Guard the server in a child, and end when that ends."""
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # a handler, not SIG_IGN: what is ignored stays ignored in the server
        signal.signal(number, lambda *_: ending.set())
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    else:
        _guard(ending)


def _guard(ending: threading.Event) -> None:
    """Start the server, wait until it or the pipe ends, then end the process group."""
    grace_s = float(sys.argv[1])
    server = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)  # noqa: S603  # our own command
    threading.Thread(target=_wait_for_pipe, args=(ending,), daemon=True).start()
    while server.poll() is None and not ending.wait(0.1):
        pass
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(0, signal.SIGKILL)


def _wait_for_pipe(ending: threading.Event) -> None:
    sys.stdin.buffer.read()
    ending.set()


if __name__ == "__main__":
    main()
