"""Langfuse exports: a trace with its observations, as its interface saves them.

The raw attributes of spans that came over OpenTelemetry stand in `metadata.attributes` (in some
exports `metadata` is itself JSON as text); what Langfuse took out of them, or was told by its own
SDK, stands in the observation and is given back as the attributes of Langfuse's convention.
`latency` is in seconds in some exports and in milliseconds in others, so times come from the dates.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
from phasewise_store.facts import Batch, Source

from phasewise_collector.importers.documents import Document, has_keys, read_document
from phasewise_collector.importers.fields import (
    BadRecordError,
    Record,
    items,
    optional_iso_ns,
    optional_text,
    record,
    text,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.spans import batch_of
from phasewise_collector.otlp.spans import ReceivedSpan, Value

FORMAT = "langfuse"
SOURCE = "langfuse"
_TRACE_DIGITS = 32
_SPAN_DIGITS = 16
_KINDS = frozenset({"GENERATION", "AGENT", "TOOL", "EMBEDDING"})
_FIELDS = {
    "usageDetails": "langfuse.observation.usage_details",
    "costDetails": "langfuse.observation.cost_details",
    "input": "langfuse.observation.input",
    "output": "langfuse.observation.output",
    "model": "langfuse.observation.model.name",
    "modelParameters": "langfuse.observation.model.parameters",
    "completionStartTime": "langfuse.observation.completion_start_time",
}
"""field of an observation -> the attribute that Langfuse's own SDK writes for it"""


def recognises(head: bytes, path: Path) -> bool:
    """Say whether the document is an exported trace."""
    del path
    return has_keys(head, b"{", ("trace", "projectId")) or has_keys(
        head, b"{", ("observations", "traceId")
    )


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Give the trace's facts."""
    for part in read_document(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        spans: list[ReceivedSpan] = []
        for found in _spans(part):
            if isinstance(found, Skipped):
                yield found
            else:
                spans.append(found)
        if spans:
            yield batch_of(spans, Source(trace.source_id, SOURCE, FORMAT, str(trace.path)))


def _spans(document: Document) -> Iterator[ReceivedSpan | Skipped]:
    try:
        root = record(document.root, "the document")
        observations = items(root, "observations")
    except BadRecordError as error:
        yield document.skip(error)
        return
    about = root.get("trace")
    shared = _of_trace(about) if isinstance(about, Mapping) else {}
    for place, value in enumerate(observations):
        try:
            yield _span(record(value, "the observation"), shared)
        except BadRecordError as error:
            yield document.skip(error, "observations", place)


def _of_trace(about: Mapping[str, object]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for field, name in (("sessionId", "langfuse.session.id"), ("userId", "langfuse.user.id")):
        value = about.get(field)
        if isinstance(value, str) and value:
            found[name] = value
    return found


def _span(observation: Record, shared: Mapping[str, Value]) -> ReceivedSpan:
    metadata = _metadata(observation.get("metadata"))
    attributes: dict[str, Value] = dict(shared)
    attributes |= _plain(metadata.get("attributes"))
    for field, name in _FIELDS.items():
        value = observation.get(field)
        if value not in (None, {}, "", []):
            attributes[name] = value if isinstance(value, str) else orjson.dumps(value).decode()
    kind = text(observation, "type")
    if kind in _KINDS:
        attributes["langfuse.observation.type"] = kind
    scope = metadata.get("scope")
    scope = scope if isinstance(scope, Mapping) else {}
    start_ns = optional_iso_ns(observation, "startTime") or 0
    parent = optional_text(observation, "parentObservationId")
    level = optional_text(observation, "level")
    return ReceivedSpan(
        trace_id=_hex(text(observation, "traceId"), _TRACE_DIGITS),
        span_id=_hex(text(observation, "id"), _SPAN_DIGITS),
        parent_span_id=None if parent is None else _hex(parent, _SPAN_DIGITS),
        name=optional_text(observation, "name") or kind,
        kind="internal",
        start_ns=start_ns,
        end_ns=optional_iso_ns(observation, "endTime") or start_ns,
        attributes=attributes,
        resource=_plain(metadata.get("resourceAttributes")),
        scope_name=str(scope.get("name") or ""),
        scope_version=str(scope.get("version") or ""),
        status="error" if level == "ERROR" else "unset",
        status_message=optional_text(observation, "statusMessage") or "",
    )


def _metadata(value: object) -> Mapping[str, object]:
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, Mapping) else {}


def _plain(value: object) -> dict[str, Value]:
    return dict(value) if isinstance(value, Mapping) else {}


def _hex(name: str, digits: int) -> str:
    """Give an id of OpenTelemetry's length; Langfuse's older ids are of any form."""
    known = name.lower()
    if len(known) == digits and not set(known) - set("0123456789abcdef"):
        return known
    return hashlib.blake2b(name.encode(), digest_size=digits // 2).hexdigest()
