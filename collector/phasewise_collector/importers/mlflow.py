"""MLflow's traces in JSON (`Trace.to_json`, the interface's download, `traces.json` of a run).

A document is `{"info": …, "data": {"spans": […]}}`. Attributes hold JSON as text, ids of some
versions are base64. MLflow's own names are written as those of the conventions.
"""

from collections.abc import Iterator, Mapping

import orjson

from phasewise_collector.importers import span_usage
from phasewise_collector.importers.fields import BadRecordError, Record, record
from phasewise_collector.importers.span_records import Around, span_of
from phasewise_collector.importers.span_values import as_text, attributes
from phasewise_collector.otlp.spans import ReceivedSpan, Value

SOURCE = "mlflow"
_KINDS = {"CHAT_MODEL": "LLM"}
_NAMES = {
    "mlflow.llm.model": "gen_ai.request.model",
    "mlflow.llm.provider": "gen_ai.provider.name",
    "mlflow.spanInputs": "input.value",
    "mlflow.spanOutputs": "output.value",
}
_OF_TRACE = {"mlflow.trace.session": "session.id", "mlflow.trace.user": "user.id"}


def is_trace(root: Record) -> bool:
    """Say whether a document is a trace of MLflow."""
    data = root.get("data")
    return "info" in root and isinstance(data, Mapping) and "spans" in data


def spans(root: Record) -> Iterator[ReceivedSpan | BadRecordError]:
    """Give the spans of a trace."""
    info, data = root.get("info"), root.get("data")
    shared = _shared(info if isinstance(info, Mapping) else {})
    listed = data.get("spans") if isinstance(data, Mapping) else None
    for one in listed if isinstance(listed, list) else ():
        try:
            yield span_of(renamed(record(one, "the span")), Around(shared))
        except BadRecordError as error:
            yield error


def renamed(span: Record) -> Record:
    """Give a span with the conventions' names beside MLflow's own."""
    found = {name: _parsed(value) for name, value in attributes(span.get("attributes")).items()}
    for theirs, ours in _NAMES.items():
        if found.get(theirs) not in (None, "", {}, []):
            found.setdefault(ours, as_text(found.pop(theirs)))
    kind = found.pop("mlflow.spanType", None)
    if isinstance(kind, str):
        found.setdefault("openinference.span.kind", _KINDS.get(kind, kind))
    usage = found.pop("mlflow.chat.tokenUsage", None)
    scope = span.get("scope")
    if isinstance(usage, Mapping):
        found |= span_usage.of_usage(usage)
        scope = {"name": span_usage.SCOPE}
    cost = found.pop("mlflow.llm.cost", None)
    if isinstance(cost, Mapping) and isinstance(cost.get("total_cost"), int | float):
        found["gen_ai.usage.cost"] = cost["total_cost"]
    return {**span, "attributes": found, "scope": scope}


def _shared(info: Mapping[str, object]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for holder in ("trace_metadata", "request_metadata", "tags"):
        about = attributes(info.get(holder))
        found |= {ours: about[name] for name, ours in _OF_TRACE.items() if about.get(name)}
    return found


def _parsed(value: Value) -> Value:
    """Parse what MLflow has written as JSON into an attribute; other text stays."""
    if not isinstance(value, str) or value[:1] not in ('"', "{", "["):
        return value
    try:
        found: Value = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    return found
