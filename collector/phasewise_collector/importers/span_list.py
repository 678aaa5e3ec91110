"""Lists of spans exported by other observability tools: one importer, which knows the formats.

Jaeger; the console and file exporters of OpenTelemetry's SDKs (Python, JavaScript: Copilot CLI,
Gemini CLI); inference-perf's traces; Phoenix; MLflow; LangSmith; LiteLLM. Every record is converted
to an OTLP span and read by the dialects, so the knowledge about a tool's attributes is in one
place. `langfuse.py` and `otlp_file.py` do the same for their formats.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from phasewise_store.facts import Batch, Source

from phasewise_collector.importers import (
    jaeger,
    javascript,
    langsmith,
    litellm,
    mlflow,
    records,
    tables,
)
from phasewise_collector.importers.documents import shows_keys
from phasewise_collector.importers.fields import BadRecordError, Record
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.span_records import Around, span_of
from phasewise_collector.importers.spans import batch_of
from phasewise_collector.otlp.spans import ReceivedSpan

FORMAT = "span-list"
SOURCE = "span-list"
_SPANS = (
    ("traceId", "spanId", "startTime"),
    ("traceId", "spanId", "startTimeUnixNano"),
    ("traceId", "id", "timestamp", "attributes"),
    ("trace_id", "span_id", "start_time"),
    ("trace_id", "span_id", "start_time_unix_nano"),
    ("context.trace_id", "context.span_id", "start_time"),
)
"""keys of a span of OpenTelemetry's, of which each tool has its own spelling"""
_KEYS = (*_SPANS, *jaeger.KEYS, *langsmith.KEYS, *litellm.KEYS)
_PRINTED = re.compile(rb"^  traceId: '[0-9a-f]{32}'", re.MULTILINE)
_HOLDERS = ("data", "spans", "runs", "traces", "results", "items")
"""fields of a document under which its records stand"""


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the file's first records show the keys of a span."""
    del path
    names = tables.columns(head)
    if names:
        return any(names.issuperset(keys) for keys in _KEYS)
    if javascript.is_printed(head):
        return _PRINTED.search(head) is not None
    return records.is_json(head) and any(shows_keys(head, keys) for keys in _KEYS)


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the facts of all spans in the file."""
    spans: list[ReceivedSpan] = []
    shapes: list[str] = []
    others = 0
    found = records.rows(trace) if tables.columns(trace.data) else records.values(trace)
    for one in found:
        if isinstance(one, Skipped):
            yield one
            continue
        for shape, record in _records(one.value):
            if not shape:
                others += 1
                continue
            shapes.append(shape)
            for span in _SHAPES[shape](record):
                if isinstance(span, BadRecordError):
                    yield Skipped(one.line, str(span))
                else:
                    spans.append(span)
    if others:
        yield Note(f"{others} records are not spans")
    if spans:
        yield batch_of(spans, Source(trace.source_id, shapes[0], FORMAT, str(trace.path)))


def _records(value: object) -> Iterator[tuple[str, Record]]:
    """Return the records of a value and the shape of each; an empty name is no known shape."""
    if isinstance(value, list):
        for one in value:
            yield from _records(one)
    elif isinstance(value, dict):
        shape = _shape(value)
        held = next((value[name] for name in _HOLDERS if isinstance(value.get(name), list)), None)
        if shape:
            yield shape, value
        elif held is not None:
            yield from _records(held)
        elif value:
            yield "", value


def _shape(record: Record) -> str:
    if mlflow.is_trace(record) or "mlflow.spanType" in _keys(record.get("attributes")):
        return mlflow.SOURCE
    if "processes" in record or any(_has(record, keys) for keys in jaeger.KEYS):
        return jaeger.SOURCE
    if any(_has(record, keys) for keys in langsmith.KEYS):
        return langsmith.SOURCE
    if any(_has(record, keys) for keys in litellm.KEYS):
        return litellm.SOURCE
    return OTEL if _is_span(record) else ""


def _is_span(record: Record) -> bool:
    context = record.get("context", record.get("_spanContext"))
    names = {*record, *_keys(context)}
    named = {"traceId", "trace_id", "context.trace_id"} & names
    timed = {"start_time", "startTime", "startTimeUnixNano", "start_time_unix_nano", "timestamp"}
    return bool(named) and bool(timed & names) and "spans" not in record


def _has(record: Record, keys: tuple[str, ...]) -> bool:
    return all(name in record for name in keys)


def _keys(value: object) -> frozenset[str]:
    return frozenset(value) if isinstance(value, Mapping) else frozenset()


def _plain(record: Record) -> Iterator[ReceivedSpan | BadRecordError]:
    try:
        yield span_of(record, Around())
    except BadRecordError as error:
        yield error


def _mlflow(record: Record) -> Iterator[ReceivedSpan | BadRecordError]:
    return mlflow.spans(record) if mlflow.is_trace(record) else _plain(record)


OTEL = "otel-spans"
_SHAPES: Mapping[str, Callable[[Record], Iterator[ReceivedSpan | BadRecordError]]] = {
    mlflow.SOURCE: _mlflow,
    jaeger.SOURCE: jaeger.spans,
    langsmith.SOURCE: langsmith.spans,
    litellm.SOURCE: litellm.spans,
    OTEL: _plain,
}
"""by what `--source` takes afterwards"""
