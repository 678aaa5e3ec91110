"""`init`: set up provider, ring and instrumentors; failures are logged once and never raised.

An existing TracerProvider is extended, never replaced.
"""

import functools
import logging
import sys
import tempfile
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider

from phasewise import capture as capturing
from phasewise import instrumentors, settings
from phasewise.at_exit import say_if_nothing_was_seen
from phasewise.capture import Hasher
from phasewise.labels import LabelProcessor
from phasewise.processor import RingProcessor, concerns_models
from phasewise.ring import Ring
from phasewise.settings import Capture
from phasewise.wire.hooks import watch_transports
from phasewise.wire.worker import Worker

MOST_ATTRIBUTES = 20_000
"""OpenTelemetry's default of 128 drops the system prompt of any longer conversation"""
FLUSH_MS = 5000

_log = logging.getLogger("phasewise")
_started: tuple[RingProcessor, Worker] | None = None


def init(
    endpoint: str | None = None,
    *,
    service_name: str | None = None,
    capture: Capture | None = None,
    key: str | None = None,
    include_usage: bool | None = None,
    all_spans: bool | None = None,
    ring: str | None = None,
    ring_bytes: int | None = None,
    disabled: bool | None = None,
    quiet: bool | None = None,
) -> None:
    """Start tracing this program; a second call does nothing.

    `endpoint` is the collector's address without a path; see `phasewise.settings` for what each
    argument means, and what the environment may say instead. Never raises.
    """
    global _started  # noqa: PLW0603  # one tracer a process
    try:
        if _started is not None or settings.switched_on(settings.DISABLED, disabled):
            return
        root = settings.ring_folder(ring)
        mode = settings.capture(capture)
        waiting = _ring(root, endpoint, ring_bytes)
        if not settings.switched_on(settings.QUIET, quiet):
            say_if_nothing_was_seen(_seen)  # before the others: it then speaks after them
        processor = RingProcessor(
            waiting,
            filtered=None if mode == "content" else _filter(mode, root, key),
            wanted=_any_span
            if settings.switched_on(settings.ALL_SPANS, all_spans)
            else concerns_models,
        )
        provider = _provider(settings.SERVICE.text(service_name))
        provider.add_span_processor(LabelProcessor())
        provider.add_span_processor(processor)
        worker = Worker(provider, filtered=None if mode == "content" else _filter(mode, root, key))
        _started = processor, worker
        watch_transports(worker)
        instrumentors.switch_on(
            provider,
            worker,
            endpoint=waiting.endpoint,
            include_usage=settings.switched_on(settings.INCLUDE_USAGE, include_usage),
        )
    except Exception:  # a tracer must never stop the program it watches
        _log.exception("phasewise.init() failed; this program is not traced")


def flush(timeout_ms: int = FLUSH_MS) -> bool:
    """Send what waits now; say whether all of it went out in time. What did not stays on disk."""
    if _started is None:
        return True
    processor, worker = _started
    worker.drain()
    return processor.force_flush(timeout_ms)


def _seen() -> bool:
    """Return whether any model call was; a tracer that did not start has said so already."""
    if _started is None:
        return True
    processor, worker = _started
    return worker.calls + worker.reported_elsewhere + processor.calls > 0


def _ring(root: Path, endpoint: str | None, limit_bytes: int | None) -> Ring:
    address = (settings.ENDPOINT.text(endpoint) or settings.ENDPOINT.default).rstrip("/")
    limit = settings.ring_bytes(limit_bytes)
    try:
        return Ring(root, address, limit)
    except OSError as error:
        elsewhere = Path(tempfile.mkdtemp(prefix="phasewise-ring-"))
        _log.warning("cannot write to %s (%s); spans are kept in %s", root, error, elsewhere)
        return Ring(elsewhere, address, limit)


def _filter(mode: Capture, root: Path, key: str | None) -> "capturing.Filter":
    hasher = Hasher(capturing.secret(root, settings.KEY.text(key))) if mode == "hash" else None
    return functools.partial(capturing.filtered, hasher)


def _any_span(span: ReadableSpan) -> bool:
    del span
    return True


def _provider(service_name: str | None) -> TracerProvider:
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        return provider
    name = service_name or Path(sys.argv[0] or "python").stem
    made = TracerProvider(
        resource=Resource.create({SERVICE_NAME: name}),
        span_limits=SpanLimits(max_span_attributes=MOST_ATTRIBUTES, max_attributes=MOST_ATTRIBUTES),
    )
    trace.set_tracer_provider(made)
    return made
