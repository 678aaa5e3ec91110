"""The loader: turns what the acceptor has logged into facts, in the process that owns the database.

Facts and the log position are written in one transaction, so a crash at any moment repeats nothing
and skips nothing. A trace is derived again from all its spans whenever more of it arrives.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import duckdb
from phasewise_store import cycle_collector, gauges, log_progress
from phasewise_store.facts import LIVE, Source
from phasewise_store.log_progress import LogProgress
from phasewise_store.store import Store

from phasewise_collector import ingest
from phasewise_collector.decoding import decoded
from phasewise_collector.dialects import log_records
from phasewise_collector.log import reader
from phasewise_collector.log.reader import Chunk, Position

SOURCE = Source(LIVE, LIVE, "otlp", "otlp")
POLL_S = 0.1
RETRY_S = 2.0
"""pause after a failure"""
KEPT_SEGMENTS = 2
"""finished segments that stay on disk: what was last loaded can be looked at"""

_log = logging.getLogger(__name__)


class Loader:
    """Follows one log folder into one store; used from one thread."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self._folder = folder
        self._progress = log_progress.load(store)

    def load(self) -> int:
        """Load all that is there now; give the number of new spans."""
        total = 0
        while (chunk := reader.read(self._folder, _positions(self._progress))) is not None:
            with cycle_collector.paused():
                total += self._load_chunk(chunk)
        self._drop_finished()
        return total

    def follow(self, stop: threading.Event, on_loaded: Callable[[], None]) -> None:
        """Load until told to stop, and once more then; `on_loaded` is called after new spans.

        Raises duckdb.FatalException where the database must be opened again.
        """
        while True:
            stopping = stop.wait(POLL_S)
            try:
                if self.load():
                    on_loaded()
            except duckdb.FatalException:
                raise  # the database must be opened again; its owner does that
            except Exception:
                # the thread must outlive a full disk or a bad span: what could not be written stays
                # in the log, and is tried again
                _log.exception("loading failed; received data is still in the log, trying again")
                stopping = stopping or stop.wait(RETRY_S)
            if stopping:
                return

    def waiting_bytes(self, progress: Mapping[str, LogProgress]) -> int:
        """Return how much of the log is not loaded yet where it is loaded so far."""
        return reader.waiting_bytes(self._folder, _positions(progress))

    def waiting_items(self, progress: Mapping[str, LogProgress]) -> dict[str, int]:
        """Return how many acknowledged items are not loaded yet, by signal."""
        return reader.waiting_items(self._folder, _positions(progress))

    def _load_chunk(self, chunk: Chunk) -> int:
        found = decoded(chunk.frames)
        prepared = ingest.prepare(self.store, found.spans)
        fresh = prepared.fresh
        before = self._progress.get(chunk.segment, LogProgress(chunk.segment))
        after = replace(
            before,
            offset_bytes=chunk.end.offset_bytes,
            requests=before.requests + len(chunk.frames),
            damaged_bytes=before.damaged_bytes + chunk.damaged_bytes + found.damaged_bytes,
            finished=chunk.end.finished,
        )
        logs = sum(span.kind == log_records.KIND for span in fresh.values())
        new_items = {"traces": len(fresh) - logs, "logs": logs, "metrics": found.points}
        with self.store.transaction() as connection:
            ingest.write(self.store, connection, prepared, SOURCE)
            gauges.save(self.store, found.gauges)
            log_progress.save(connection, after, found.accounts(new_items))
        self._progress[chunk.segment] = after
        return len(fresh)

    def _drop_finished(self) -> None:
        """Delete segments that are loaded, once what they became is in the database file itself.

        A damaged write-ahead log would lose them silently otherwise; DuckDB then opens as of an
        earlier moment, positions in the log included, and the segments are loaded again.
        """
        there = set(reader.segments(self._folder))
        finished = sorted(
            name for name, one in self._progress.items() if one.finished and name in there
        )
        for name in finished[:-KEPT_SEGMENTS]:
            self.store.checkpoint()
            (self._folder / name).unlink(missing_ok=True)


def _positions(progress: Mapping[str, LogProgress]) -> dict[str, Position]:
    return {name: Position(one.offset_bytes, one.finished) for name, one in progress.items()}
