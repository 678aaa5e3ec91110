"""Convert a log record to a span of zero length, so that events are processed like spans.

OpenTelemetry's GenAI events and the telemetry of Claude Code and Codex arrive as log records. A
record that names a span becomes its child; one that names none joins the trace of its prompt, else
of its session.
"""

import hashlib
from collections.abc import Mapping

import orjson

from phasewise_collector.dialects import aliases
from phasewise_collector.otlp.spans import Event, ReceivedRecord, ReceivedSpan, Value

KIND = "log"
"""`Span.kind` of a log record"""
_TOGETHER = ("prompt.id", "turn.id", *aliases.SESSION)
"""attributes that say what belongs together where no trace does, closest first"""


def as_span(record: ReceivedRecord) -> ReceivedSpan:
    """Return the record as a span; the same record gives the same ids, so a retry is known."""
    attributes = dict(record.attributes)
    body = record.body
    name = record.event_name or _text(attributes.get("event.name")) or _name(body)
    events: tuple[Event, ...] = ()
    if isinstance(body, dict):
        events = (Event(name, record.time_ns, {**attributes, **body}),)
    elif body is not None and body != name:
        attributes["body"] = body
    digest = _digest(record, name)
    lasted_ms = aliases.number(attributes, aliases.DURATION_MS) or 0
    duration_ns = min(round(lasted_ms * 1e6), record.time_ns)
    failed = name.rpartition(".")[2] == "api_error"
    return ReceivedSpan(
        trace_id=record.trace_id or _trace(record, digest),
        span_id=digest[:8].hex(),
        parent_span_id=record.span_id,
        name=name,
        kind=KIND,
        start_ns=max(0, record.time_ns - duration_ns),
        end_ns=record.time_ns,
        attributes=attributes,
        events=events,
        resource=record.resource,
        scope_name=record.scope_name,
        scope_version=record.scope_version,
        status="error" if failed else "unset",
        status_message=_text(attributes.get("error")) if failed else "",
        dropped_attributes=record.dropped_attributes,
    )


def _trace(record: ReceivedRecord, digest: bytes) -> str:
    group = aliases.text(record.attributes, _TOGETHER)
    if group is None:
        return digest[8:24].hex()
    return hashlib.blake2b(group.encode(), digest_size=16).hexdigest()


def _digest(record: ReceivedRecord, name: str) -> bytes:
    exact = (
        *(record.trace_id, record.span_id, record.time_ns, name, record.scope_name),
        *(record.body, record.attributes, record.resource),
    )
    written = orjson.dumps(exact, default=str, option=orjson.OPT_NON_STR_KEYS)
    return hashlib.blake2b(written, digest_size=24).digest()


def _name(body: Value) -> str:
    named = body.get("event.name") if isinstance(body, Mapping) else body
    return named if isinstance(named, str) and len(named) <= 100 else "log"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
