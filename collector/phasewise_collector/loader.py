"""The loader: makes facts of what the acceptor has logged, in the process that owns the database.

Facts and the position in the log are written in one transaction, so a crash at any moment repeats
nothing and skips nothing. A trace is derived again from all its spans whenever more of it arrives.
"""

import gc
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
from phasewise_store import gauges, identity, log_progress, steps, stored_traces, unused
from phasewise_store.facts import Batch, LlmCall, Source
from phasewise_store.log_progress import LogProgress
from phasewise_store.store import Store

from phasewise_collector import linking
from phasewise_collector.decoding import decoded
from phasewise_collector.dialects import log_records
from phasewise_collector.dialects.content import Taken, take, without_content
from phasewise_collector.dialects.derive import Derived, derive
from phasewise_collector.log import reader
from phasewise_collector.log.reader import Chunk, Position
from phasewise_collector.otlp.spans import ReceivedSpan

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
        self.store = store
        self._folder = folder
        self._progress = log_progress.load(store)

    def load(self) -> int:
        """Load all that is there now; give the number of new spans."""
        total = 0
        while (chunk := reader.read(self._folder, _positions(self._progress))) is not None:
            with _collector_paused():
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
                _log.exception("loading failed; the log keeps what was received, trying again")
                stopping = stopping or stop.wait(RETRY_S)
            if stopping:
                return

    def waiting_bytes(self, progress: Mapping[str, LogProgress]) -> int:
        """Give how much of the log is not loaded yet where it is loaded so far."""
        return reader.waiting_bytes(self._folder, _positions(progress))

    def waiting_items(self, progress: Mapping[str, LogProgress]) -> dict[str, int]:
        """Give how many acknowledged items are not loaded yet, by signal."""
        return reader.waiting_items(self._folder, _positions(progress))

    def _load_chunk(self, chunk: Chunk) -> int:
        found = decoded(chunk.frames)
        fresh, traces, stored = self._read_back(found.spans)
        touched = {trace_id for trace_id, _ in fresh}
        groups = linking.together(traces)
        derived = [
            derive(group) for group in groups if touched & {one.span.trace_id for one in group}
        ]
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
            if derived:
                old = self._old_calls(derived) if stored else {}
                sessions = {session.session_id for one in derived for session in one.sessions}
                sessions |= {call.session_id for call in old.values()}
                stands_as = self.store.rewrite(_batch(derived), heirs=_heirs(derived, old))
                now = {call.call_id for one in derived for call in one.llm_calls}
                gone = old.keys() - {stands_as.get(name, name) for name in now}
                if gone:
                    unused.retract_llm_calls(connection, gone)
                steps.number(connection, sessions)
                if stored:
                    unused.drop_unused(connection, sessions)
            gauges.save(self.store, found.gauges)
            log_progress.save(connection, after, found.accounts(new_items))
        self._progress[chunk.segment] = after
        return len(fresh)

    def _read_back(
        self, received: Sequence[ReceivedSpan]
    ) -> tuple[dict[tuple[str, str], ReceivedSpan], dict[str, list[Taken]], bool]:
        """Give the spans that are new, and all traces they touch or are related to, whole.

        Also whether anything of those traces was stored before: mostly nothing was.
        """
        stored = stored_traces.spans(self.store, {span.trace_id for span in received})
        known = {(span.trace_id, span.span_id) for span in stored}
        fresh: dict[tuple[str, str], ReceivedSpan] = {}
        for span in received:
            key = (span.trace_id, span.span_id)
            if key not in known:
                fresh.setdefault(key, span)
        traces: dict[str, list[Taken]] = {}
        for old in stored:
            traces.setdefault(old.trace_id, []).append(without_content(old))
        taken = [take(new) for new in fresh.values()]
        for one in taken:
            traces.setdefault(one.span.trace_id, []).append(one)
        elsewhere = linking.related(self.store, taken) - traces.keys()
        for old in stored_traces.spans(self.store, elsewhere) if elsewhere else ():
            traces.setdefault(old.trace_id, []).append(without_content(old))
        return fresh, traces, bool(stored or elsewhere)

    def _old_calls(self, derived: Iterable[Derived]) -> dict[str, LlmCall]:
        """Give the stored calls that these spans described before; some prove to be none."""
        traces = {span.trace_id for one in derived for span in one.spans}
        calls = stored_traces.llm_calls(self.store, traces)
        return {call.call_id: call for call in calls if not identity.is_of_file(call)}

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


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause Python's cycle collector: a chunk makes millions of objects, none of them in cycles.

    It takes 8 % of the time otherwise.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _positions(progress: Mapping[str, LogProgress]) -> dict[str, Position]:
    return {name: Position(one.offset_bytes, one.finished) for name, one in progress.items()}


def _heirs(derived: Iterable[Derived], old: Mapping[str, LlmCall]) -> dict[str, str]:
    """Say which stored call's content a call goes on with, where that was another's."""
    heirs: dict[str, str] = {}
    for one in derived:
        for made in one.made:
            name = made.call.call_id
            for earlier in (made.content_of, *made.members):
                if earlier in old and old[earlier].fidelity not in (None, "none"):
                    if earlier != name:
                        heirs[name] = earlier
                    break
    return heirs


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
