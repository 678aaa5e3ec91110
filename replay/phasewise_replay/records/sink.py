"""Write measured calls to the recording in small batches while a run is in progress.

An interrupted run keeps its measurements. A write takes milliseconds, so calls are batched.
"""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from phasewise_store.run_facts import MeasuredCall

from phasewise_replay.records.recording import Recording

Tick = Callable[[], None]

MOST_ROWS = 500
LONGEST_S = 1.0


class Sink:
    """Buffers rows and writes them; safe to use from several threads.

    Leaving the `with` block writes the rest; rows added later are dropped.
    """

    def __init__(self, recording: Recording, tick: Tick) -> None:
        self._recording = recording
        self._tick = tick
        self._rows: list[MeasuredCall] = []
        self._written_s = time.monotonic()
        self._guard = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._guard:
            self._closed = True
            self._write()

    def add(self, row: MeasuredCall) -> None:
        """Add one row."""
        with self._guard:
            if self._closed:
                return
            self._rows.append(row)
            self._tick()
            waited_s = time.monotonic() - self._written_s
            if len(self._rows) >= MOST_ROWS or waited_s > LONGEST_S:
                self._write()

    def replace(self, rows: Sequence[MeasuredCall]) -> None:
        """Write rows that were added before once more, with what is known of them now."""
        with self._guard:
            if not self._closed:
                self._write()
                self._recording.add_calls(rows)

    def _write(self) -> None:
        rows, self._rows = self._rows, []
        self._recording.add_calls(rows)
        self._written_s = time.monotonic()
