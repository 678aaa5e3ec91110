"""Langfuse's exports: whole traces, and lists of observations.

An observation stands in a trace (`{trace, observations}` of the interface, `{id, observations}` of
the API), in the API's page (`{data, meta}`), in a list, a line for itself, or as a row of a table
(batch export, export to blob storage); its fields are spelt in camel case, or as columns of the
database. The raw attributes of spans that came over
OpenTelemetry stand in `metadata.attributes` (in some exports `metadata` is itself JSON as text);
what Langfuse took out of them, or was told by its own SDK, stands in the observation and is given
back as the attributes of Langfuse's convention. `latency` is in seconds in some exports and in
milliseconds in others, so times come from the dates.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
from phasewise_store.facts import Batch, Source

from phasewise_collector.importers import records, tables
from phasewise_collector.importers.documents import has_keys, shows_keys
from phasewise_collector.importers.fields import BadRecordError, Record, record
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.span_values import (
    SPAN_DIGITS,
    TRACE_DIGITS,
    as_text,
    attributes,
    identity,
    moment_ns,
)
from phasewise_collector.importers.spans import batch_of
from phasewise_collector.otlp.spans import ReceivedSpan, Value

FORMAT = "langfuse"
SOURCE = "langfuse"
_TRACES = (
    ("trace", "projectId"),
    ("observations", "traceId"),
    ("projectId", "timestamp", "bookmarked"),
)
"""keys of a trace; the last before a long input, behind which its observations stand"""
_OBSERVATIONS = (
    ("traceId", "parentObservationId"),
    ("traceId", "completionStartTime"),
    ("traceId", "usageDetails"),
    ("trace_id", "parent_observation_id"),
    ("trace_id", "provided_model_name"),
)
"""keys of an observation, of which an export may leave some out"""
_KINDS = frozenset({"GENERATION", "AGENT", "TOOL", "EMBEDDING"})
_FIELDS = {
    "usageDetails": "langfuse.observation.usage_details",
    "costDetails": "langfuse.observation.cost_details",
    "input": "langfuse.observation.input",
    "output": "langfuse.observation.output",
    "model": "langfuse.observation.model.name",
    "providedModelName": "langfuse.observation.model.name",
    "modelParameters": "langfuse.observation.model.parameters",
    "completionStartTime": "langfuse.observation.completion_start_time",
}
"""field of an observation -> the attribute that Langfuse's own SDK writes for it"""
_OF_TRACE = {
    "sessionId": "langfuse.session.id",
    "userId": "langfuse.user.id",
    "tags": "langfuse.trace.tags",
    "version": "langfuse.version",
    "release": "langfuse.release",
    "environment": "langfuse.environment",
}
_COUNTS = (("promptTokens", "input"), ("completionTokens", "output"), ("totalTokens", "total"))
"""of exports before Langfuse 3"""
_SNAKE = re.compile(r"(?<=[a-z])(?=[A-Z])")


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the file holds exported traces or observations."""
    del path
    if any(has_keys(head, b"{", keys) for keys in _TRACES):
        return True
    names = tables.columns(head)
    if names:
        return any(names.issuperset(keys) for keys in _OBSERVATIONS)
    return records.is_json(head) and any(shows_keys(head, keys) for keys in _OBSERVATIONS)


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the facts of all observations in the file."""
    spans: list[ReceivedSpan] = []
    found = records.rows(trace) if tables.columns(trace.data) else records.values(trace)
    for one in found:
        if isinstance(one, Skipped):
            yield one
            continue
        for observation, shared in _observations(one.value, {}):
            try:
                spans.append(_span(record(observation, "the observation"), shared))
            except BadRecordError as error:
                yield Skipped(one.line, str(error))
    if spans:
        yield batch_of(spans, Source(trace.source_id, SOURCE, FORMAT, str(trace.path)))


def _observations(
    value: object, shared: Mapping[str, Value]
) -> Iterator[tuple[object, Mapping[str, Value]]]:
    """Return the observations of a value, each with what its trace says."""
    if isinstance(value, list):
        for one in value:
            yield from _observations(one, shared)
        return
    inner = value.get("observations") if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(inner, list):
        about = value.get("trace")
        said = _of_trace(about if isinstance(about, Mapping) else value)
        yield from ((one, said) for one in inner)
    elif isinstance(value, dict) and isinstance(value.get("data"), list):
        yield from _observations(value["data"], shared)
    else:
        yield value, shared


def _of_trace(about: Mapping[str, object]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for field, name in _OF_TRACE.items():
        value = _field(about, field)
        if value not in (None, "", [], {}):
            found[name] = as_text(value)
    return found


def _span(observation: Record, shared: Mapping[str, Value]) -> ReceivedSpan:
    trace_id = identity(_field(observation, "traceId"), TRACE_DIGITS)
    span_id = identity(_field(observation, "id"), SPAN_DIGITS)
    if trace_id is None or span_id is None:
        raise BadRecordError("`id` or `traceId` is missing")
    metadata = _object(_field(observation, "metadata"))
    found: dict[str, Value] = {**shared, **_of_trace(observation)}
    found |= attributes(metadata.get("attributes"))
    for field, name in _FIELDS.items():
        value = _field(observation, field)
        if value not in (None, {}, "", []):
            found[name] = as_text(value)
    found |= _counted(observation, found)
    kind = str(_field(observation, "type") or "SPAN")
    if kind in _KINDS:
        found["langfuse.observation.type"] = kind
    scope = _object(metadata.get("scope"))
    start_ns = moment_ns(_field(observation, "startTime")) or 0
    return ReceivedSpan(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=identity(_field(observation, "parentObservationId"), SPAN_DIGITS),
        name=str(_field(observation, "name") or kind),
        kind="internal",
        start_ns=start_ns,
        end_ns=moment_ns(_field(observation, "endTime")) or start_ns,
        attributes=found,
        resource=attributes(metadata.get("resourceAttributes")),
        scope_name=str(scope.get("name") or ""),
        scope_version=str(scope.get("version") or ""),
        status="error" if _field(observation, "level") == "ERROR" else "unset",
        status_message=str(_field(observation, "statusMessage") or ""),
    )


def _counted(observation: Record, found: Mapping[str, Value]) -> dict[str, Value]:
    """Return usage and cost as older exports have them, where the details are missing."""
    made: dict[str, Value] = {}
    if _FIELDS["usageDetails"] not in found:
        old = _object(_field(observation, "usage"))
        counts = {ours: _count(old.get(ours)) for _, ours in _COUNTS}
        for theirs, ours in _COUNTS:
            counts[ours] = counts[ours] or _count(_field(observation, theirs))
        if any(counts.values()):
            made[_FIELDS["usageDetails"]] = as_text(counts)
    if _FIELDS["costDetails"] not in found:
        usd = _field(observation, "totalCost") or _field(observation, "calculatedTotalCost")
        if usd not in (None, ""):
            made["gen_ai.usage.cost"] = str(usd)
    return made


def _field(fields: Record, name: str) -> object:
    """Return a field, spelt in camel case or as a column of the database."""
    return fields[name] if name in fields else fields.get(_SNAKE.sub("_", name).lower())


def _count(value: object) -> int:
    text = str(value)
    return int(text) if text.isdecimal() else 0


def _object(value: object) -> Mapping[str, object]:
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, Mapping) else {}
