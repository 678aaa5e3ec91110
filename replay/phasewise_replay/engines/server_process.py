"""A managed server process: start it, wait until it is ready, stop it with its children.

Used by the managed engines. `server_guard` handles the case that the replay itself dies.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from phasewise_store.errors import EngineError

from phasewise_replay.engines import server_guard

POLL_S = 0.2
GRACE_S = 10.0
"""how long a server may take to exit after SIGTERM"""
TAIL_LINES = 30


class ServerProcess:
    """One server; `stop` may be called at any time and any number of times."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, grace_s: float = GRACE_S
    ) -> None:
        self._grace_s = grace_s
        self._log = tempfile.TemporaryFile(prefix="phasewise-server-")  # noqa: SIM115  # closed in stop
        guard = [sys.executable, "-I", server_guard.__file__, str(grace_s)]
        self._guard = subprocess.Popen(  # noqa: S603  # the plan's own command
            [*guard, *command],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **environment},
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        """Whether the server still runs."""
        return self._guard.poll() is None

    def exits_within(self, seconds: float) -> bool:
        """Wait for the server to exit; return whether it did."""
        try:
            self._guard.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def log(self) -> str:
        """Return everything the server has written so far."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode("utf-8", "replace")

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait for `ready`; raises ServerEndedError or EngineError with the tail of the log."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.alive:
                raise ServerEndedError("the server exited while starting\n" + tail(self.log()))
            if time.monotonic() > deadline:
                raise EngineError(
                    f"the server was not ready after {timeout_s:.0f} s.  Raise `start_timeout_s` "
                    f"of the arm in the plan, or read the log:\n{tail(self.log())}"
                )
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End the server and all its children, and wait until they are gone."""
        if self._log.closed:
            return
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        try:
            self._guard.wait(self._grace_s + 5)
        except subprocess.TimeoutExpired:
            os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.wait()
        self._log.close()


class ServerEndedError(EngineError):
    """The server exited while it was starting; its log has the reason."""


def free_port() -> int:
    """Return a port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail(log: str) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.splitlines()[-TAIL_LINES:])


def interpreter_of(folder: Path) -> Path:
    """Return the Python interpreter of a virtual environment."""
    return folder / "bin" / "python"
