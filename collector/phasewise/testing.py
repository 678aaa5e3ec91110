"""For tests of traced programs: spans in memory, the same ids and times in every run.

provider, exporter = phasewise.testing.provider()
MyInstrumentor().instrument(tracer_provider=provider)
...
spans = exporter.get_finished_spans()
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Span, Tracer

from phasewise.setup import MOST_ATTRIBUTES

FIRST_NS = 1_700_000_000 * 10**9
TICK_NS = 1_000_000


class CountedIds(IdGenerator):
    """Gives 1, 2, 3 … as ids."""

    def __init__(self) -> None:
        self._traces = itertools.count(1)
        self._spans = itertools.count(1)

    def generate_span_id(self) -> int:
        """Return the next span id."""
        return next(self._spans)

    def generate_trace_id(self) -> int:
        """Return the next trace id."""
        return next(self._traces)


class CountedClock:
    """Goes on by one millisecond each time it is looked at."""

    def __init__(self, first_ns: int = FIRST_NS) -> None:
        self._next_ns = first_ns

    def __call__(self) -> int:
        """Return the time in nanoseconds."""
        now_ns = self._next_ns
        self._next_ns += TICK_NS
        return now_ns


class _Provider(TracerProvider):
    """Hands out tracers whose spans begin and end by a counted clock."""

    def __init__(self, clock: CountedClock, **options: Any) -> None:  # noqa: ANN401  # as above it
        super().__init__(**options)
        self._clock = clock

    def get_tracer(self, *arguments: Any, **options: Any) -> Tracer:  # noqa: ANN401  # as above it
        """Return a tracer."""
        return _Tracer(super().get_tracer(*arguments, **options), self._clock)


class _Tracer(Tracer):
    def __init__(self, inner: Tracer, clock: CountedClock) -> None:
        self._inner = inner
        self._clock = clock

    def start_span(self, *arguments: Any, **options: Any) -> Span:  # noqa: ANN401  # as above it
        """Start a span now, by the clock, unless a time is given."""
        if options.get("start_time") is None:
            options["start_time"] = self._clock()
        span = self._inner.start_span(*arguments, **options)
        end = span.end

        def end_by_clock(end_time: int | None = None) -> None:
            end(self._clock() if end_time is None else end_time)

        span.end = end_by_clock  # type: ignore[method-assign]  # of this one span
        return span

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # the same, without opentelemetry's wrapper
        self,
        *arguments: Any,  # noqa: ANN401  # as above it
        end_on_exit: bool = True,
        **options: Any,  # noqa: ANN401
    ) -> Iterator[Span]:
        """Start a span and make it the current one for the length of the block."""
        errors = {
            name: options.get(name, True)
            for name in ("record_exception", "set_status_on_exception")
        }
        span = self.start_span(*arguments, **options)
        with trace.use_span(span, end_on_exit=end_on_exit, **errors) as current:
            yield current


def provider(*, clock: CountedClock | None = None) -> tuple[TracerProvider, InMemorySpanExporter]:
    """Return a provider and its in-memory exporter; ids and times are sequential."""
    exporter = InMemorySpanExporter()
    made = _Provider(
        clock or CountedClock(),
        id_generator=CountedIds(),
        span_limits=SpanLimits(max_span_attributes=MOST_ATTRIBUTES, max_attributes=MOST_ATTRIBUTES),
    )
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made, exporter
