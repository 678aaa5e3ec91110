"""For tests of traced programs: spans in memory, the same ids and times in every run."""

import itertools

from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator

from phasewise.setup import MOST_ATTRIBUTES


class CountedIds(IdGenerator):
    """Gives 1, 2, 3 … as ids."""

    def __init__(self) -> None:
        self._traces = itertools.count(1)
        self._spans = itertools.count(1)

    def generate_span_id(self) -> int:
        """Give the next span id."""
        return next(self._spans)

    def generate_trace_id(self) -> int:
        """Give the next trace id."""
        return next(self._traces)


def provider() -> tuple[TracerProvider, InMemorySpanExporter]:
    """Give a provider that keeps its spans in the exporter beside it."""
    exporter = InMemorySpanExporter()
    made = TracerProvider(
        id_generator=CountedIds(),
        span_limits=SpanLimits(max_span_attributes=MOST_ATTRIBUTES, max_attributes=MOST_ATTRIBUTES),
    )
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made, exporter
