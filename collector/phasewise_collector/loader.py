"""The loader: makes facts of what the acceptor has logged, in the process that owns the database.

Facts and the position in the log are written in one transaction, so a crash at any moment repeats
nothing and skips nothing. A trace is derived again from all its spans whenever more of it arrives.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from phasewise_store import log_progress, steps, stored_traces
from phasewise_store.facts import Batch, Source
from phasewise_store.log_progress import LogProgress
from phasewise_store.store import Store

from phasewise_collector.dialects.content import Taken, take, without_content
from phasewise_collector.dialects.derive import Derived, derive
from phasewise_collector.log import reader
from phasewise_collector.log.frame import Frame
from phasewise_collector.log.reader import Chunk, Position
from phasewise_collector.otlp import json, protobuf
from phasewise_collector.otlp.body import TooLargeError, UnknownEncodingError, inflate
from phasewise_collector.otlp.spans import MalformedError, ReceivedSpan

LIVE = Source("live", "live", "otlp", "otlp")
POLL_S = 0.1
RETRY_S = 2.0
"""pause after a failure"""
KEPT_SEGMENTS = 2
"""finished segments that stay on disk: what was last loaded can be looked at"""

_log = logging.getLogger(__name__)


class Loader:
    """Follows one log folder into one store; used from one thread."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._progress = log_progress.load(store)

    def load(self) -> int:
        """Load all that is there now; give the number of new spans."""
        total = 0
        while (chunk := reader.read(self._folder, self._positions())) is not None:
            total += self._load_chunk(chunk)
        self._drop_finished()
        return total

    def follow(self, stop: threading.Event, on_loaded: Callable[[], None]) -> None:
        """Load until told to stop, and once more then; `on_loaded` is called after new spans."""
        while True:
            stopping = stop.wait(POLL_S)
            try:
                if self.load():
                    on_loaded()
            except Exception:
                # the thread must outlive a full disk or a bad span: what could not be written stays
                # in the log, and is tried again
                _log.exception("loading failed; the log keeps what was received, trying again")
                stopping = stopping or stop.wait(RETRY_S)
            if stopping:
                return

    def waiting_bytes(self) -> int:
        """Give how much of the log is not loaded yet."""
        return reader.waiting_bytes(self._folder, self._positions())

    def _positions(self) -> dict[str, Position]:
        return {
            name: Position(progress.offset_bytes, progress.finished)
            for name, progress in self._progress.items()
        }

    def _load_chunk(self, chunk: Chunk) -> int:
        received, rejected, damaged = _decoded(chunk.frames)
        traces = {span.trace_id for span in received}
        stored = stored_traces.spans(self._store, traces)
        known = {(span.trace_id, span.span_id) for span in stored}
        fresh: dict[tuple[str, str], ReceivedSpan] = {}
        for span in received:
            key = (span.trace_id, span.span_id)
            if key not in known:
                fresh.setdefault(key, span)
        by_trace: dict[str, list[Taken]] = {}
        for old in stored:
            by_trace.setdefault(old.trace_id, []).append(without_content(old))
        for new in fresh.values():
            by_trace.setdefault(new.trace_id, []).append(take(new))
        touched = {new.trace_id for new in fresh.values()}
        derived = [derive(by_trace[trace_id]) for trace_id in sorted(touched)]
        before = self._progress.get(chunk.segment, LogProgress(chunk.segment))
        after = replace(
            before,
            offset_bytes=chunk.end.offset_bytes,
            requests=before.requests + len(chunk.frames),
            stored_spans=before.stored_spans + len(fresh),
            duplicate_spans=before.duplicate_spans + len(received) - len(fresh),
            rejected_spans=before.rejected_spans + rejected,
            damaged_bytes=before.damaged_bytes + chunk.damaged_bytes + damaged,
            finished=chunk.end.finished,
        )
        with self._store.transaction() as connection:
            if derived:
                stale, sessions = self._stale(derived, touched)
                self._store.rewrite(_batch(derived))
                stored_traces.retract_llm_calls(connection, stale)
                steps.number(connection, sessions)
                stored_traces.drop_unused(connection, sessions)
            log_progress.save(connection, after)
        self._progress[chunk.segment] = after
        return len(fresh)

    def _stale(self, derived: Iterable[Derived], traces: set[str]) -> tuple[set[str], set[str]]:
        """Give stored calls that later spans showed to be none, and all sessions concerned."""
        old = stored_traces.llm_calls(self._store, traces)
        now = {call.call_id for one in derived for call in one.llm_calls}
        sessions = {session.session_id for one in derived for session in one.sessions}
        return (
            {call.call_id for call in old} - now,
            sessions | {call.session_id for call in old},
        )

    def _drop_finished(self) -> None:
        finished = [name for name, progress in self._progress.items() if progress.finished]
        for name in sorted(finished)[:-KEPT_SEGMENTS]:
            (self._folder / name).unlink(missing_ok=True)


def _decoded(frames: Iterable[Frame]) -> tuple[list[ReceivedSpan], int, int]:
    """Give the spans of all frames, how many had no valid ids, and bytes that are no request."""
    spans: list[ReceivedSpan] = []
    rejected = damaged = 0
    for frame in frames:
        try:
            plain = inflate(frame.body, frame.encoding)
            reading = json.decode if frame.content_type == "json" else protobuf.decode
            request = reading(plain)
        except (MalformedError, TooLargeError, UnknownEncodingError):
            # the acceptor checked it and the checksum held: only another version's limits differ
            _log.exception("a logged request cannot be read")
            damaged += len(frame.body)
            continue
        spans += request.spans
        rejected += request.rejected
    return spans, rejected, damaged


def _batch(derived: Iterable[Derived]) -> Batch:
    facts = list(derived)
    # order of arrival is the order in which prompts are compared: by start, across traces
    calls = sorted(
        (call for one in facts for call in one.llm_calls), key=lambda call: call.started_ns or 0
    )
    return Batch(
        LIVE,
        sessions=tuple({s.session_id: s for one in facts for s in one.sessions}.values()),
        agents=tuple({a.agent_id: a for one in facts for a in one.agents}.values()),
        llm_calls=tuple(calls),
        tool_calls=tuple(tool for one in facts for tool in one.tool_calls),
        spans=tuple(span for one in facts for span in one.spans),
    )
