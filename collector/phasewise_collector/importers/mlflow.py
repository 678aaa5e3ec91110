"""MLflow's traces in JSON (`Trace.to_json`, the interface's download, `traces.json` of a run).

A document is `{"info": …, "data": {"spans": […]}}`. Attributes hold JSON as text, ids of some
versions are base64. The session and the user stand in `info`; MLflow's own attributes are read by
the dialects, since MLflow sends them over OTLP, too.
"""

from collections.abc import Iterator, Mapping

from phasewise_collector.importers.fields import BadRecordError, Record, record
from phasewise_collector.importers.span_records import Around, span_of
from phasewise_collector.importers.span_values import attributes
from phasewise_collector.otlp.spans import ReceivedSpan, Value

SOURCE = "mlflow"
_OF_TRACE = {"mlflow.trace.session": "session.id", "mlflow.trace.user": "user.id"}


def is_trace(root: Record) -> bool:
    """Return whether a document is a trace of MLflow."""
    data = root.get("data")
    return "info" in root and isinstance(data, Mapping) and "spans" in data


def spans(root: Record) -> Iterator[ReceivedSpan | BadRecordError]:
    """Return the spans of a trace."""
    info, data = root.get("info"), root.get("data")
    shared = _shared(info if isinstance(info, Mapping) else {})
    listed = data.get("spans") if isinstance(data, Mapping) else None
    for one in listed if isinstance(listed, list) else ():
        try:
            yield span_of(record(one, "the span"), Around(shared))
        except BadRecordError as error:
            yield error


def _shared(info: Mapping[str, object]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for holder in ("trace_metadata", "request_metadata", "tags"):
        about = attributes(info.get(holder))
        found |= {ours: about[name] for name, ours in _OF_TRACE.items() if about.get(name)}
    return found
