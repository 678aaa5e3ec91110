"""Store spans from a file, processed like received spans."""

from collections.abc import Iterable

from phasewise_store.facts import Source

from phasewise_collector.importers.importer import SpanBatch
from phasewise_collector.otlp.spans import ReceivedSpan


def batch_of(spans: Iterable[ReceivedSpan], source: Source) -> SpanBatch:
    """Return the spans as a batch; what they mean is derived beside those that are stored."""
    return SpanBatch(source, received=tuple(spans))
