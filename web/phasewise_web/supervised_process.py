"""Keep a process running: it is replaced as soon as it ends.

A process that must be back at once has a standby with its imports done, which waits for one byte.
A process writes `ready` to standard output once it serves. One that exits before it is ready, with
an exit code that means that a retry would fail as well, is not replaced.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from phasewise_collector.parent import GO, READY

STOP_S = 15.0
SHORT_LIFE_S = 2.0
"""one that lives shorter is not replaced at once"""
LONGEST_PAUSE_S = 5.0
CANNOT_START = frozenset({1, 2})
"""exit codes of a process that will not do better the next time; 1 is also Python's, for an import
that fails"""


class Child:
    """One process and its successors; they hold the same sockets."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        handles: Sequence[int],
        *,
        standby: bool = False,
    ) -> None:
        self.module = module
        self._arguments = tuple(arguments)
        self._handles = tuple(handles)
        self._has_standby = standby
        self._guard = threading.Lock()
        self._stopping = False
        self.ended = threading.Event()
        """set when it ended for good, on its own"""
        self._waiting: subprocess.Popen[bytes] | None = None
        self._process = self._spawn()
        self._thread = threading.Thread(target=self._keep_running, name=module)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The number of the process that runs now."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the last process ended; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Let it finish what it has begun, and end it."""
        with self._guard:
            self._stopping = True
        for process in (self._waiting, self._process):
            if process is not None:
                _end(process)
        self._thread.join()

    def _keep_running(self) -> None:
        pause_s = 0.0
        while True:
            began = time.monotonic()
            ready = self._wait_until_ready()
            code = self._wait_until_ended()
            short = time.monotonic() - began < SHORT_LIFE_S
            with self._guard:
                if self._stopping:
                    return
            if code in CANNOT_START and not ready:
                self.ended.set()
                return
            # killed once, it is back at once; killed again and again, it is given time
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2 + 0.1) if short and pause_s else 0.0
            time.sleep(pause_s)
            pause_s = pause_s or (0.1 if short else 0.0)
            with self._guard:
                if self._stopping:
                    return
                self._process = self._next()

    def _wait_until_ready(self) -> bool:
        """Return whether the process serves now; False when it ended before."""
        output = self._process.stdout
        assert output is not None
        ready = any(line.strip() == READY for line in output)
        with self._guard:
            if ready and self._has_standby and self._waiting is None and not self._stopping:
                self._waiting = self._spawn("--standby")
        return ready

    def _wait_until_ended(self) -> int:
        output = self._process.stdout
        assert output is not None
        while output.read(1 << 16):  # a full pipe would stop it
            pass
        output.close()
        return self._process.wait()

    def _next(self) -> "subprocess.Popen[bytes]":
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting.poll() is None and waiting.stdin is not None:
            with contextlib.suppress(OSError):
                waiting.stdin.write(GO)
                waiting.stdin.flush()
                return waiting
        return self._spawn()

    def _spawn(self, *more: str) -> "subprocess.Popen[bytes]":
        for handle in self._handles:
            os.set_inheritable(handle, True)
        return subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-m", self.module, *self._arguments, *more],
            stdin=subprocess.PIPE,  # it ends when this pipe closes, however this process ends
            stdout=subprocess.PIPE,
            pass_fds=self._handles,
            start_new_session=True,  # a Ctrl-C at the terminal is ours to hand on
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
