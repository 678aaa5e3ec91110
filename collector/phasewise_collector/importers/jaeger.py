"""Jaeger's JSON, as its interface downloads it and its API answers: `{"data": [trace, …]}`."""

from collections.abc import Iterator, Mapping

from phasewise_collector.importers.fields import BadRecordError, Record, record
from phasewise_collector.importers.span_records import Around, span_of
from phasewise_collector.importers.span_values import attributes
from phasewise_collector.otlp.spans import ReceivedSpan, Value

KEYS = (("traceID", "spanID"),)
SOURCE = "jaeger"
_SCOPE = (("otel.scope.name", "otel.library.name"), ("otel.scope.version", "otel.library.version"))


def spans(root: Record) -> Iterator[ReceivedSpan | BadRecordError]:
    """Return the spans of a trace, with the process of each as its resource."""
    listed = root.get("spans")
    processes = root.get("processes")
    processes = processes if isinstance(processes, Mapping) else {}
    for one in listed if isinstance(listed, list) else [root]:
        try:
            span = record(one, "the span")
            process = processes.get(str(span.get("processID")), span.get("process"))
            yield span_of(_plain(span), Around(resource=_resource(process)))
        except BadRecordError as error:
            yield error


def _resource(process: object) -> dict[str, Value] | None:
    if not isinstance(process, Mapping):
        return None
    service = str(process.get("serviceName") or "")
    return {**attributes(process.get("tags")), "service.name": service}


def _plain(span: Record) -> Record:
    """Return a span with OpenTelemetry's own fields taken out of its tags again."""
    tags = attributes(span.get("tags"))
    names, versions = _SCOPE
    failed = tags.get("error") in (True, "true") or tags.get("otel.status_code") == "ERROR"
    logs = span.get("logs")
    return {
        **span,
        "attributes": tags,
        "parent_id": _parent(span),
        "kind": str(tags.get("span.kind") or ""),
        "scope": {
            "name": next((tags[one] for one in names if one in tags), ""),
            "version": next((tags[one] for one in versions if one in tags), ""),
        },
        "status_code": "ERROR" if failed else "UNSET",
        "status_message": tags.get("otel.status_description", ""),
        "events": [_event(one) for one in logs if isinstance(one, Mapping)]
        if isinstance(logs, list)
        else [],
    }


def _parent(span: Record) -> object:
    references = span.get("references")
    for one in references if isinstance(references, list) else ():
        if isinstance(one, Mapping) and one.get("refType", "CHILD_OF") == "CHILD_OF":
            return one.get("spanID")
    return span.get("parentSpanID")


def _event(log: Mapping[str, object]) -> Record:
    fields = attributes(log.get("fields"))
    name = fields.pop("event", None) or fields.pop("name", None)
    return {"name": name, "timestamp": log.get("timestamp"), "attributes": fields}
