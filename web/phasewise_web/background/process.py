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
        self._started_s = 0.0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the worker where it does not run."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return
            if time.monotonic() - self._started_s < RESTART_S and self._process is not None:
                return
            self._started_s = time.monotonic()
            command = [sys.executable, "-m", MODULE, "--db", str(self._database)]
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
            )

    def ask(self, question: Question) -> None:
        """Have an answer made soon; a worker that ended is started again."""
        self.start()
        with self._lock, contextlib.suppress(OSError, ValueError):  # the next look asks again
            assert self._process is not None
            assert self._process.stdin is not None
            self._process.stdin.write(questions.written(question) + "\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """End the worker; what it was making is lost, and made again by the next one."""
        with self._lock:
            if self._process is None:
                return
            self._process.terminate()
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.stdin is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
