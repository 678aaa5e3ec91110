"""The span processor: passes ended spans from the program to the ring without blocking.

The program's thread only appends to a queue. A background thread encodes, writes to disk and sends.
"""

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

from phasewise.ring import Ring
from phasewise.sending import LaterError, report_dropped, send_all
from phasewise.wire.worker import SCOPE

BATCH_SPANS = 256
BATCH_BYTES = 4 << 20
"""a batch is closed when its text is about so large; OTLP receivers take 64 MiB"""
QUEUED_SPANS = 20_000
SCHEDULE_S = 0.5
EXIT_S = 2.0
"""the longest wait for the collector when the program ends; what is left stays in the ring"""
LONGEST_PAUSE_S = 5.0
LLM_MARKS = (
    *("gen_ai.", "llm.", "openinference.", "ai.", "traceloop.", "langfuse.", "phasewise."),
    *("mcp.", "langsmith.", "pydantic_ai.", "agent.", "tool.", "crewai.", "gcp.vertex.agent"),
)
_MODEL = frozenset({"gen_ai.request.model", "gen_ai.response.model", "llm.model_name"})
LLM_SCOPES = (
    *("openinference.", "phasewise", "pydantic-ai", "com.anthropic.", "mcp", "ai", "gen_ai"),
    "semantic_kernel.",
)

Attributes = Mapping[str, object]
_log = logging.getLogger("phasewise")


def concerns_models(span: ReadableSpan) -> bool:
    """Return whether a span tells of models, agents or tools."""
    scope = span.instrumentation_scope
    if scope is not None and scope.name.startswith(LLM_SCOPES):
        return True
    return any(name.startswith(LLM_MARKS) for name in span.attributes or {})


class RingExporter(SpanExporter):
    """Encodes spans and puts them into the ring; an exporter for those who want only that."""

    def __init__(self, ring: Ring, filtered: Callable[[Attributes], Attributes] | None) -> None:
        self._ring = ring
        self._filtered = filtered

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write one batch; a failure is counted as a loss."""
        chosen = [_with(span, self._filtered) for span in spans] if self._filtered else spans
        try:
            self._ring.put(encode_spans(chosen).SerializeToString(), len(spans))
        except OSError as error:
            self._ring.count_dropped(len(spans))
            _log.warning("cannot write spans to %s: %s", self._ring.folder, error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


class RingProcessor(SpanProcessor):
    """Queues ended spans; its own thread does the rest."""

    def __init__(
        self,
        ring: Ring,
        *,
        filtered: Callable[[Attributes], Attributes] | None = None,
        wanted: Callable[[ReadableSpan], bool] = concerns_models,
    ) -> None:
        self._ring = ring
        self._exporter = RingExporter(ring, filtered)
        self._wanted = wanted
        self._queue: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._reported = 0
        self.calls = 0
        """how many spans named a model"""
        self._writing = threading.Lock()
        self._start()
        os.register_at_fork(after_in_child=self._after_fork)
        atexit.register(self.shutdown)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span; a full queue drops it, and counts that."""
        if self._stopping or not span.context or not span.context.trace_flags.sampled:
            return
        if len(self._queue) >= QUEUED_SPANS:
            self._ring.count_dropped(1)
            return
        self._queue.append(span)
        if len(self._queue) >= BATCH_SPANS:
            self._wake.set()

    def force_flush(self, timeout_millis: int = 5000) -> bool:
        """Write what is queued, and send what waits; say whether all of it went out in time."""
        until = time.monotonic() + timeout_millis / 1000
        self._write()
        while time.monotonic() < until:
            try:
                if send_all(self._ring, until=until, timeout_s=timeout_millis / 1000):
                    return True
            except LaterError:
                pass
            if not self._ring.waiting():
                return True
            time.sleep(0.05)
        return not self._ring.waiting()

    def shutdown(self) -> None:
        """Write everything to disk, and give the collector a moment to take it."""
        if self._stopping:
            return
        self._stopping = True
        self._wake.set()
        self._write()
        until = time.monotonic() + EXIT_S
        try:
            # the sending thread may be at it, and ends with the program: wait for its turn to end
            while not send_all(self._ring, until=until, timeout_s=EXIT_S):
                if time.monotonic() > until or not self._ring.waiting():
                    return
                time.sleep(0.01)
        except LaterError:
            pass
        except Exception:
            _log.exception("could not send spans; they are kept in %s", self._ring.folder)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="phasewise", daemon=True)
        self._thread.start()

    def _after_fork(self) -> None:
        """Begin anew in a child: its parent keeps what was queued before."""
        self._queue.clear()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._start()

    def _run(self) -> None:
        pause_s, next_send = SCHEDULE_S, 0.0
        while not self._stopping:
            self._wake.wait(SCHEDULE_S)
            self._wake.clear()
            try:
                self._write()
                if time.monotonic() >= next_send:
                    send_all(self._ring, stopped=lambda: self._stopping)
                    pause_s = SCHEDULE_S
                self._report_losses()
            except LaterError as error:
                pause_s = min(LONGEST_PAUSE_S, max(error.retry_s, pause_s * 2))
                next_send = time.monotonic() + pause_s
            except Exception:  # a tracer must never stop the program it watches
                _log.exception("sending spans failed; they are kept in %s", self._ring.folder)
                next_send = time.monotonic() + LONGEST_PAUSE_S

    def _report_losses(self) -> None:
        dropped = self._ring.dropped_spans()
        if dropped > self._reported and not self._ring.waiting():
            report_dropped(self._ring, dropped)
            self._reported = dropped

    def _write(self) -> None:
        """Move the queue into the ring."""
        with self._writing:
            while self._queue:
                batch: list[ReadableSpan] = []
                size = 0
                while self._queue and len(batch) < BATCH_SPANS and size < BATCH_BYTES:
                    span = self._queue.popleft()
                    if self._wanted(span):
                        batch.append(span)
                        size += _size(span)
                        self.calls += any(name in _MODEL for name in span.attributes or ())
                if batch:
                    self._exporter.export(batch)


def _size(span: ReadableSpan) -> int:
    values = (span.attributes or {}).values()
    return sum(len(value) for value in values if isinstance(value, str))


def _with(span: ReadableSpan, filtered: Callable[[Attributes], Attributes] | None) -> ReadableSpan:
    """Return a span whose attributes, and those of its events, are filtered."""
    assert filtered is not None
    events = [
        Event(event.name, _plain(filtered(event.attributes or {})), event.timestamp)
        for event in span.events
    ]
    attributes = BoundedAttributes(attributes=_plain(filtered(span.attributes or {})))
    attributes.dropped = span.dropped_attributes
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=events,
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=span.status if _is_wire(span) else Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _is_wire(span: ReadableSpan) -> bool:
    """Say whether the worker made the span: it filtered why the call failed; others quote text."""
    return span.instrumentation_scope is not None and span.instrumentation_scope.name == SCOPE


def _plain(attributes: Attributes) -> dict[str, str | bool | int | float]:
    kept: dict[str, str | bool | int | float] = {}
    for name, value in attributes.items():
        if isinstance(value, str | bool | int | float):
            kept[name] = value
        elif isinstance(value, tuple | list):
            kept[name] = value  # type: ignore[assignment]  # a sequence of the same
    return kept
