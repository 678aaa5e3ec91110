"""OTLP in files: what the OpenTelemetry Collector's file exporter, or `curl -o`, leaves behind.

JSON: one export request a line, or one document. Protobuf: one request, or requests each behind
four bytes of length. Traces and logs are read; metrics are counted by the collector only.
"""

from collections.abc import Iterator
from pathlib import Path

from phasewise_store.facts import Batch, Source

from phasewise_collector.dialects import log_records
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.spans import batch_of
from phasewise_collector.otlp import json, protobuf
from phasewise_collector.otlp.spans import MalformedError, ReceivedSpan

FORMAT = "otlp"
SOURCE = "otlp-file"
_FIELDS = (b'"resourceSpans"', b'"resourceLogs"', b'"resourceMetrics"')
_SUFFIXES = (".pb", ".binpb", ".otlp", ".proto")
_LENGTH_BYTES = 4


def recognises(head: bytes, path: Path) -> bool:
    """Say whether the file is JSON with OTLP's outer field, or named as protobuf is."""
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if begins.startswith(b"{"):
        return any(field in begins[:200] for field in _FIELDS)
    return path.name.removesuffix(".gz").endswith(_SUFFIXES)


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Give the facts of all requests in the file."""
    spans: list[ReceivedSpan] = []
    rejected = 0
    data = trace.data.removeprefix(b"\xef\xbb\xbf")
    is_json = data.lstrip().startswith(b"{")
    for number, body in _json_bodies(data) if is_json else _protobuf_bodies(data):
        try:
            found, bad = _decode(body) if is_json else _decode_protobuf(body)
        except MalformedError as error:
            yield Skipped(number if is_json else None, str(error))
            continue
        spans += found
        rejected += bad
    if trace.damage is not None:
        yield Skipped(None, f"{trace.damage}; what follows is lost")
    if rejected:
        yield Note(f"{rejected} spans have no valid trace id and span id, and are left out")
    if spans:
        yield batch_of(spans, Source(trace.source_id, SOURCE, FORMAT, str(trace.path)))


def _json_bodies(data: bytes) -> Iterator[tuple[int, bytes]]:
    lines = [line for line in data.split(b"\n") if line.strip()]
    if all(line.lstrip().startswith(b"{") and line.rstrip().endswith(b"}") for line in lines):
        numbered = enumerate(data.split(b"\n"), start=1)
        yield from ((number, line) for number, line in numbered if line.strip())
    else:
        yield 1, data  # one document, indented


def _protobuf_bodies(data: bytes) -> Iterator[tuple[int, bytes]]:
    bodies = []
    place = 0
    while place + _LENGTH_BYTES <= len(data):
        length = int.from_bytes(data[place : place + _LENGTH_BYTES], "big")
        place += _LENGTH_BYTES
        bodies.append(data[place : place + length])
        place += length
    framed = place == len(data) and bodies
    yield from enumerate(bodies if framed else [data], start=1)


def _decode(body: bytes) -> tuple[list[ReceivedSpan], int]:
    if b'"resourceLogs"' in body[:200]:
        return [log_records.as_span(record) for record in json.decode_logs(body)], 0
    request = json.decode(body)
    return list(request.spans), request.rejected


def _decode_protobuf(body: bytes) -> tuple[list[ReceivedSpan], int]:
    request = protobuf.decode(body)
    return list(request.spans), request.rejected
