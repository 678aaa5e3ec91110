"""The process that makes what takes long, as its owner sees it: started, asked, started again."""

import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path

from phasewise_store.kept_answers import Question

from phasewise_web.background import questions

MODULE = "phasewise_web.background.worker"
RESTART_S = 5.0
"""between two starts: one that fails must not be tried again and again"""
END_S = 5.0


class BackgroundProcess:
    """One worker on one database; it ends with this process."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._started_s = -float("inf")
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="background", daemon=True)

    def start(self) -> None:
        """Start the worker, and again whenever it ends."""
        self._start()
        self._keeper.start()

    def _keep(self) -> None:
        while not self._closed.wait(RESTART_S):
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            if self._process is not None and self._process.poll() is None:
                return
            if time.monotonic() - self._started_s < RESTART_S:
                return
            self._end()
            self._started_s = time.monotonic()
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, "-m", MODULE, "--db", str(self._database)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                bufsize=0,
            )

    def ask(self, question: Question) -> None:
        """Have an answer made soon; a worker that has ended is asked at the next look."""
        with self._lock:
            if self._process is None or self._process.stdin is None:
                return
            with contextlib.suppress(OSError):  # it has just ended
                self._process.stdin.write(questions.written(question).encode() + b"\n")

    def kill(self) -> None:
        """Kill the worker, as a lack of memory does."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the worker; what it was making is lost, and made again by the next one."""
        self._closed.set()
        with self._lock:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()
