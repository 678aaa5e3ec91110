"""Requests that LiteLLM's proxy has logged.

Rows of its SpendLogs (`/spend/logs`, or the table as CSV), and the payload that its loggers write
to S3, GCS or a file (`StandardLoggingPayload`). A row is one request. Its messages and answer stand
in it where the proxy is told to keep them.
"""

from collections.abc import Iterator, Mapping

import orjson

from phasewise_collector.importers import span_usage
from phasewise_collector.importers.fields import BadRecordError, Record
from phasewise_collector.importers.span_records import FIRST_CHUNK, Around, span_of
from phasewise_collector.importers.span_values import as_text, moment_ns
from phasewise_collector.otlp.spans import ReceivedSpan, Value

KEYS = (("call_type", "startTime"),)
SOURCE = "litellm"
_OF_MODELS = ("completion", "responses", "messages", "generate_content", "embedding", "rerank")
"""what the names of calls to a model contain; others are files, batches, health checks"""
_NAMES = {
    "model": "gen_ai.request.model",
    "custom_llm_provider": "gen_ai.provider.name",
    "session_id": "session.id",
    "end_user": "user.id",
    "user": "user.id",
}


def spans(root: Record) -> Iterator[ReceivedSpan | BadRecordError]:
    """Return the span of a row."""
    try:
        yield span_of(_renamed(root), Around())
    except BadRecordError as error:
        yield error


def _renamed(row: Record) -> Record:
    about = _object(row.get("metadata"))
    call = str(row.get("call_type") or "")
    request_id = row.get("request_id") or row.get("id")
    session = row.get("session_id") or row.get("trace_id")
    found: dict[str, Value] = {}
    for theirs, ours in _NAMES.items():
        if row.get(theirs) not in (None, ""):
            found.setdefault(ours, str(row[theirs]))
    if session:
        found.setdefault("session.id", str(session))
    if any(word in call for word in _OF_MODELS):
        found["gen_ai.operation.name"] = "embeddings" if "embedding" in call else "chat"
        found |= _of_model(row, about)
    if isinstance(request_id, str):
        found["gen_ai.response.id"] = request_id
    tags = row.get("request_tags")
    if tags not in (None, "", "[]", []):
        found["tag.tags"] = as_text(tags)
    error = _object(about.get("error_information"))
    failed = row.get("status") == "failure" or bool(error.get("error_message"))
    return {
        "trace_id": session or request_id,
        "span_id": request_id,
        "name": call or "request",
        "start_time": row.get("startTime"),
        "end_time": row.get("endTime"),
        "attributes": found,
        "scope": {"name": SOURCE},
        "resource_attributes": {"service.name": "litellm"},
        "status_code": "ERROR" if failed else "UNSET",
        "status_message": error.get("error_message"),
        "events": list(_first_token(row)),
    }


def _of_model(row: Record, about: Record) -> dict[str, Value]:
    response = _object(row.get("response"))
    request = _object(row.get("proxy_server_request"))
    request = _object(request.get("body")) or request
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    found = span_usage.attribute(_object(about.get("usage_object")))
    found = found or span_usage.attribute(_object(response.get("usage")))
    found = found or span_usage.attribute({name: _count(row.get(name)) for name in counts})
    if row.get("cache_hit") not in (None, ""):
        found["litellm.cache_hit"] = str(row["cache_hit"])
    spent = row.get("spend", row.get("response_cost"))
    if spent not in (None, ""):
        found["gen_ai.usage.cost"] = str(spent)
    messages = _parsed(row.get("messages"))
    if not request and messages not in (None, "", {}, []):
        parameters = _object(row.get("model_parameters"))
        request = {**parameters, "model": row.get("model"), "messages": messages}
    if request:
        found["input.value"] = as_text(request)
    if response:
        found["output.value"] = as_text(response)
    return found


def _first_token(row: Record) -> Iterator[Mapping[str, object]]:
    """Return the first token; of an answer in one piece, LiteLLM writes the end in its place."""
    at = moment_ns(row.get("completionStartTime"))
    if at is not None and at != moment_ns(row.get("endTime")):
        yield {"name": FIRST_CHUNK, "timestamp": at}


def _object(value: object) -> Record:
    """Return an object; the database's columns of JSON may stand as text."""
    found = _parsed(value)
    return found if isinstance(found, dict) else {}


def _parsed(value: object) -> object:
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _count(value: object) -> object:
    """Return a count; a table has it as text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value
