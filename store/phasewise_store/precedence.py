"""Answers go before work in the background: both need Python, which runs one thread at a time.

Beside a thread that loads and analyses without pause, an answer gets half of Python's time and
takes twice as long.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

MOST_S = 0.25
"""for which work waits, and for which it then goes on: it gets half of the time at least"""

Item = TypeVar("Item")


class Precedence:
    """Who is being answered, in all threads of a process, and who waits for it."""

    def __init__(self, most_s: float = MOST_S) -> None:
        self._most_s = most_s
        self._counting = threading.Lock()
        self._answers = 0
        self._nobody_asks = threading.Event()
        self._nobody_asks.set()
        self._works_until_s = 0.0

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Go before the work of other threads."""
        with self._counting:
            self._answers += 1
            self._nobody_asks.clear()
        try:
            yield
        finally:
            with self._counting:
                self._answers -= 1
                if not self._answers:
                    self._nobody_asks.set()

    def between(self, items: Iterable[Item]) -> Iterator[Item]:
        """Give items of work, each once nobody is being answered or enough was waited.

        Nothing that an answer needs may be held meanwhile, such as a transaction.
        """
        for item in items:
            self._wait()
            yield item

    def _wait(self) -> None:
        if self._nobody_asks.is_set() or time.monotonic() < self._works_until_s:
            return
        if not self._nobody_asks.wait(self._most_s):
            self._works_until_s = time.monotonic() + self._most_s
