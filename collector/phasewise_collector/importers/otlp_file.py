"""OTLP in files: what the OpenTelemetry Collector's file exporter, or `curl -o`, leaves behind.

JSON: export requests, one a line, one document, or a list of them; what is not quite OTLP/JSON
(protobuf's own names, ids in base64, Tempo's `batches`) is read leniently. Protobuf: one request,
or requests each behind four bytes of length. Traces and logs are read; metrics are counted by the
collector only.
"""

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

from phasewise_store.facts import Batch, Source

from phasewise_collector.dialects import log_records
from phasewise_collector.importers import records
from phasewise_collector.importers.documents import shows_keys
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.span_values import SPAN_DIGITS, TRACE_DIGITS, from_base64
from phasewise_collector.importers.spans import batch_of
from phasewise_collector.otlp import json, leniency, protobuf
from phasewise_collector.otlp.spans import MalformedError, ReceivedSpan

FORMAT = "otlp"
SOURCE = "otlp-file"
_FIELDS = (
    *("resourceSpans", "resourceLogs", "resourceMetrics"),
    *("resource_spans", "resource_logs", "resource_metrics"),
)
_TEMPO = (("batches", "scopeSpans"), ("batches", "instrumentationLibrarySpans"))
_AROUND = ("trace", "result")
"""around a request in the answers of Grafana Tempo's and Jaeger's API"""
_SUFFIXES = (".pb", ".binpb", ".otlp", ".proto")
_LENGTH_BYTES = 4


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the file is JSON with one of OTLP's outer fields, or named as protobuf is."""
    if records.is_json(head):
        outer = ((one,) for one in _FIELDS)
        return any(shows_keys(head, keys) for keys in (*outer, *_TEMPO))
    return path.name.removesuffix(".gz").endswith(_SUFFIXES)


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the facts of all requests in the file."""
    spans: list[ReceivedSpan] = []
    is_json = records.is_json(trace.data)
    for part in _of_json(trace) if is_json else _of_protobuf(trace):
        if isinstance(part, ReceivedSpan):
            spans.append(part)
        else:
            yield part
    if spans:
        yield batch_of(spans, Source(trace.source_id, SOURCE, FORMAT, str(trace.path)))


def _of_json(trace: Trace) -> Iterator[ReceivedSpan | Skipped | Note]:
    rejected = 0
    other_names = json.has_other_names(trace.data)
    for found in records.values(trace):
        if isinstance(found, Skipped):
            yield found
            continue
        try:
            for document in leniency.requests_of(found.value):
                rejected += yield from _spans(found.line, document, other_names)
        except MalformedError as error:
            yield Skipped(found.line, str(error))
    if rejected:
        yield _without_ids(rejected)


def _spans(
    line: int, document: leniency.Json, other_names: bool
) -> Generator[ReceivedSpan | Skipped, None, int]:
    """Return the spans of a request, and return how many have no ids."""
    inner = next((document[name] for name in _AROUND if name in document), None)
    document = inner if isinstance(inner, dict) else document
    if _holds_logs(document):
        try:
            read = list(json.read_logs(document))
        except MalformedError:
            read = []
        if not read:
            lenient = leniency.rewritten("logs", [document], json.can_read, read_id=_hex)
            yield from _reasons(line, lenient)
            read = list(json.read_logs(lenient.document))
        yield from map(log_records.as_span, read)
        return 0
    try:
        request = json.read(document)
    except MalformedError:
        request = None
    if request is None or request.rejected or not request.spans or other_names:
        lenient = leniency.rewritten("traces", [document], json.can_read, read_id=_hex)
        yield from _reasons(line, lenient)
        request = json.read(lenient.document)
        if lenient.unknown and not request.spans and not request.rejected:
            yield Skipped(line, json.nothing("traces", lenient.unknown))
    yield from request.spans
    return request.rejected


def _reasons(line: int, lenient: leniency.Lenient) -> Iterator[Skipped]:
    for reason in (*lenient.remarks, *lenient.broken):
        yield Skipped(line, reason)


def _holds_logs(document: Mapping[str, object]) -> bool:
    return "resourceLogs" in document or "resource_logs" in document


def _hex(name: str) -> str:
    """Return an id in hex: protobuf's own JSON has it in base64."""
    return from_base64(name, TRACE_DIGITS) or from_base64(name, SPAN_DIGITS) or name


def _of_protobuf(trace: Trace) -> Iterator[ReceivedSpan | Skipped | Note]:
    rejected = 0
    for body in _bodies(trace.data):
        try:
            # the check mends what no parser takes whole
            checked = protobuf.check("traces", body)
            request = protobuf.decode(checked.mended or body)
        except MalformedError as error:
            yield Skipped(None, str(error))
            continue
        yield from request.spans
        rejected += request.rejected
        if checked.warning:
            yield Skipped(None, checked.warning)
    if trace.damage is not None:
        yield Skipped(None, f"{trace.damage}; what follows is lost")
    if rejected:
        yield _without_ids(rejected)


def _bodies(data: bytes) -> list[bytes]:
    bodies = []
    place = 0
    while place + _LENGTH_BYTES <= len(data):
        length = int.from_bytes(data[place : place + _LENGTH_BYTES], "big")
        place += _LENGTH_BYTES
        bodies.append(data[place : place + length])
        place += length
    framed = place == len(data) and bodies
    return bodies if framed else [data]


def _without_ids(rejected: int) -> Note:
    return Note(f"skipped {rejected} spans without a valid trace id and span id")
