"""Ways to ask a receiver what it stored; without one, "exactly once" cannot be seen."""

import shlex
import subprocess
import time
import urllib.request
from contextlib import AbstractContextManager
from typing import Protocol


class Stored(Protocol):
    """Counts what a receiver has stored."""

    def spans(self, trace_id: str) -> int:
        """Count the stored spans of a trace (32 hex digits, lower case), duplicates included."""


class Overload(Protocol):
    """Puts a receiver under more load than it takes."""

    def __call__(self) -> AbstractContextManager[None]:
        """Give a context inside which the receiver has to turn senders away."""


class CountUrl:
    """Ask a URL that answers with a number; `{trace_id}` stands for the trace."""

    def __init__(self, template: str) -> None:
        """Keep the URL."""
        self._template = template

    def spans(self, trace_id: str) -> int:
        """Fetch the number."""
        url = self._template.replace("{trace_id}", trace_id)
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.read(100))


class CountCommand:
    """Run a command that prints a number; `{trace_id}` stands for the trace."""

    def __init__(self, template: str) -> None:
        """Keep the command."""
        self._words = shlex.split(template)

    def spans(self, trace_id: str) -> int:
        """Run it and read the number."""
        words = [word.replace("{trace_id}", trace_id) for word in self._words]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
        return int(done.stdout)


def count_when(stored: Stored, trace_id: str, wanted: int, timeout_s: float) -> int:
    """Count until the number is the wanted one or time is up, then once more for late doubles."""
    until = time.monotonic() + timeout_s
    while (count := stored.spans(trace_id)) != wanted and time.monotonic() < until:
        time.sleep(0.1)
    if count == wanted:
        time.sleep(0.2)
        count = stored.spans(trace_id)
    return count
