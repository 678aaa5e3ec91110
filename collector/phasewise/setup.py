"""`init`: set up provider, exporter and instrumentors; whatever fails is logged once, never raised.

An existing TracerProvider is added to, never replaced.
"""

import logging
import sys
from pathlib import Path

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from phasewise import instrumentors, settings

MOST_ATTRIBUTES = 20_000
"""OpenTelemetry's default of 128 drops the system prompt of any longer conversation"""
SCHEDULE_MS = 500
QUEUED_SPANS = 8192
EXPORT_TIMEOUT_S = 5.0
FLUSH_MS = 5000

_log = logging.getLogger("phasewise")
_started: BatchSpanProcessor | None = None


def init(
    endpoint: str | None = None,
    *,
    service_name: str | None = None,
    disabled: bool | None = None,
) -> None:
    """Start tracing this program; a second call does nothing.

    `endpoint` is the collector's address without a path; see `phasewise.settings` for what the
    environment may say instead. Never raises.
    """
    try:
        off = settings.DISABLED.text(None if disabled is None else str(disabled))
        if (off or "").lower() not in {"true", "1"}:
            _start(
                settings.ENDPOINT.text(endpoint) or settings.ENDPOINT.default,
                settings.SERVICE.text(service_name),
            )
    except Exception:  # a tracer must never stop the program it watches
        _log.exception("phasewise.init() failed; this program is not traced")


def flush(timeout_ms: int = FLUSH_MS) -> bool:
    """Send what waits now; say whether all of it went out in time."""
    return _started is None or _started.force_flush(timeout_ms)


def _start(endpoint: str, service_name: str | None) -> None:
    global _started  # noqa: PLW0603  # one tracer a process
    if _started is not None:
        return
    exporter = OTLPSpanExporter(
        endpoint=f"{endpoint.rstrip('/')}/v1/traces",
        compression=Compression.Gzip,
        timeout=EXPORT_TIMEOUT_S,
    )
    processor = BatchSpanProcessor(
        exporter, max_queue_size=QUEUED_SPANS, schedule_delay_millis=SCHEDULE_MS
    )
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        name = service_name or Path(sys.argv[0] or "python").stem
        provider = TracerProvider(
            resource=Resource.create({SERVICE_NAME: name}),
            span_limits=SpanLimits(
                max_span_attributes=MOST_ATTRIBUTES, max_attributes=MOST_ATTRIBUTES
            ),
        )
        trace.set_tracer_provider(provider)
    provider.add_span_processor(processor)
    _started = processor
    instrumentors.switch_on(provider)
