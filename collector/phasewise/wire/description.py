"""Describe a finished exchange as a span: names, times, usage as the provider wrote it, bodies."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from phasewise.wire.assemble import api_of_events, assembled, is_complete
from phasewise.wire.decompression import UnreadableError, plain, unpacked
from phasewise.wire.events import Event, events, form_of
from phasewise.wire.exchange import Exchange
from phasewise.wire.first_output import carries_output
from phasewise.wire.recognise import (
    OPERATIONS,
    Api,
    api_of,
    confirmed,
    has_known_path,
    is_streamed,
    model_in,
)

USAGE = "phasewise.wire.usage"
"""the provider's own usage object and what stands beside it, as JSON under their own names"""
ABANDONED = "phasewise.wire.abandoned"
API = "phasewise.wire.api"
REQUEST_ID = "phasewise.wire.request_id"
TRUNCATED = "phasewise.truncated"
FIRST_TOKEN_NS = "phasewise.time_to_first_token_ns"  # noqa: S105  # a token of text
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")
_USAGES = ("usage", "usageMetadata")
_WORDS = ("reasoning_effort", "service_tier", "verbosity", "prompt_cache_retention", "truncation")
"""parameters whose text is one of the API's own words; any other text stays with the body"""
_NESTED = ("generationConfig", "inferenceConfig", "thinking", "reasoning", "stream_options")
"""parameters that are objects of such"""
_LONGEST_ERROR = 2000
_TELLING = 16
"""so many first bytes tell how an answer is written"""
_LEAVING = ("CancelledError", "Cancelled", "KeyboardInterrupt")
_NEVER_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "NewConnectionError")


@dataclass(frozen=True, slots=True)
class Described:
    """What a span will say."""

    name: str
    attributes: dict[str, str | int | bool]
    start_ns: int
    end_ns: int
    error: str | None
    """why the call failed; it may quote the prompt"""
    failed_with: str | None
    """the same in a word that quotes nothing"""


def describe(exchange: Exchange) -> Described | None:
    """Return the description of a model call; None for any other request."""
    url, path = _address(exchange.url)
    request = _object(_readable(exchange.body))
    api = None if request is None else api_of(path, request)
    if api is None or request is None or _never_left(exchange):
        return None
    status = exchange.status
    if status is not None and 300 <= status < 400:
        return None  # a redirection: the request goes out once more
    answer = _Answer.read(exchange, api, streamed=is_streamed(path, request))
    said_error = answer.body is None or answer.body.get("error")
    is_error = status is None or status >= 400 or said_error
    if is_error or exchange.left:
        if not has_known_path(path):
            return None
    else:
        assert answer.body is not None
        known = confirmed(answer.api, answer.body)
        if known is None:
            return None
        api = known
    attributes = _attributes(exchange, api, url, request, path)
    attributes |= answer.attributes(exchange)
    if "embeddings" not in OPERATIONS[api]:
        attributes["input.value"] = _readable(exchange.body)
    error, word = _error(exchange, answer)
    model = attributes.get("gen_ai.request.model", "")
    end_ns = exchange.start_ns + max(0, answer.last - exchange.began)
    name = f"{OPERATIONS[api]} {model}".strip()
    return Described(name, attributes, exchange.start_ns, end_ns, error, word)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer, read."""

    api: Api
    streamed: bool
    body: dict[str, Any] | None
    text: str
    """the body as it came; of a stream, as assembled"""
    first: int | None
    """when output came first"""
    last: int
    complete: bool
    cut: bool

    @classmethod
    def read(cls, exchange: Exchange, api: Api, *, streamed: bool) -> "_Answer":
        headers = exchange.headers or {}
        last = exchange.chunks[-1][0] if exchange.chunks else exchange.ended
        try:
            chunks = list(plain(exchange.chunks, headers.get("content-encoding") or ""))
        except UnreadableError:
            return cls(api, streamed, None, "", None, last, complete=False, cut=True)
        start = b"".join(data for _, data in chunks[:_TELLING])[:_TELLING]
        form = form_of(headers.get("content-type") or "", start, streamed=streamed)
        if form == "whole":
            text = b"".join(data for _, data in chunks).decode("utf-8", "replace")
            body = _object(text)
            done = body is not None
            last = last if done or not exchange.left else exchange.ended
            return cls(api, False, body, text, None, last, complete=done, cut=exchange.cut)
        found: list[Event] = list(events(form, chunks))
        if found:
            api = api_of_events(api, found[0][1])
        body = assembled(api, (event for _, event in found))
        first = next((moment for moment, event in found if carries_output(event)), None)
        complete = any(is_complete(event) for _, event in found)
        if exchange.left and not complete:
            last = exchange.ended
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return cls(api, True, body, text, first, last, complete=complete, cut=exchange.cut)

    def attributes(self, exchange: Exchange) -> dict[str, str | int | bool]:
        """Return what the answer says."""
        body = self.body or {}
        made: dict[str, str | int | bool] = {}
        for name, keys in (
            ("gen_ai.response.model", ("model", "modelVersion")),
            ("gen_ai.response.id", ("id", "responseId")),
        ):
            found = next((body[key] for key in keys if isinstance(body.get(key), str)), None)
            if found:
                made[name] = found
        reason = _finish_reason(body)
        if reason:
            made["gen_ai.response.finish_reasons"] = reason
        usage = {name: body[name] for name in _USAGES if isinstance(body.get(name), dict)}
        if usage and isinstance(body.get("service_tier"), str):
            usage["service_tier"] = body["service_tier"]
        if usage:
            made[USAGE] = json.dumps(usage)
        if self.first is not None:
            made[FIRST_TOKEN_NS] = max(0, self.first - exchange.began)
        if self.cut:
            made[TRUNCATED] = True
        if _is_abandoned(exchange, self):
            made[ABANDONED] = True
        if self.body and OPERATIONS[self.api] != "embeddings":
            made["output.value"] = self.text
        made["gen_ai.request.stream"] = self.streamed
        return made


def _attributes(
    exchange: Exchange, api: Api, url: str, request: Mapping[str, Any], path: str
) -> dict[str, str | int | bool]:
    parts = urlsplit(url)
    made: dict[str, str | int | bool] = {
        API: api,
        "gen_ai.operation.name": OPERATIONS[api],
        "url.full": url,
        "server.address": parts.hostname or "",
    }
    if parts.port is not None:
        made["server.port"] = parts.port
    named = request.get("model")
    model = named if isinstance(named, str) else model_in(path)
    if model:
        made["gen_ai.request.model"] = model.removeprefix("models/")
    if exchange.status is not None:
        made["http.response.status_code"] = exchange.status
    headers = exchange.headers or {}
    identity = next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)
    if identity:
        made[REQUEST_ID] = identity
    parameters = _parameters(request)
    if parameters:
        made["llm.invocation_parameters"] = json.dumps(parameters)
    for name in ("session.id", "user.id"):
        value = exchange.context.get(name)
        if isinstance(value, str) and value:
            made[name] = value
    return made


def _parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request's parameters that hold no text of the program."""
    found: dict[str, Any] = {}
    for name, value in request.items():
        if isinstance(value, bool | int | float) or (name in _WORDS and isinstance(value, str)):
            found[name] = value
        elif name in _NESTED and isinstance(value, Mapping):
            inner = {
                key: one
                for key, one in value.items()
                if isinstance(one, bool | int | float) or key in ("type", "effort")
            }
            if inner:
                found[name] = inner
    return found


def _finish_reason(body: Mapping[str, Any]) -> str | None:
    for name, key in (("choices", "finish_reason"), ("candidates", "finishReason")):
        pieces = body.get(name)
        if isinstance(pieces, list):
            reasons = (one.get(key) for one in pieces if isinstance(one, dict))
            return next((str(one) for one in reasons if one), None)
    for key in ("stop_reason", "stopReason", "status"):
        if isinstance(body.get(key), str):
            return str(body[key])
    return None


def _error(exchange: Exchange, answer: _Answer) -> tuple[str | None, str | None]:
    """Return why the call failed, and the same in a word that quotes no text.

    A program that wants no more of an answer is no failure.
    """
    if _is_abandoned(exchange, answer):
        return None, None
    if exchange.error is not None:
        kind = type(exchange.error).__name__
        return f"{kind}: {exchange.error}"[:_LONGEST_ERROR], kind
    status = exchange.status
    said = (answer.body or {}).get("error")
    if status is not None and status >= 400:
        text = said if said is not None else (answer.body or answer.text)
        return f"HTTP {status}: {_message(text)}"[:_LONGEST_ERROR].rstrip(": "), f"HTTP {status}"
    if said:
        return _message(said)[:_LONGEST_ERROR], "the response is an error"
    return None, None


def _is_abandoned(exchange: Exchange, answer: _Answer) -> bool:
    """Return whether the program left: it closed the stream early, or its task was cancelled.

    A client that sends a refused request again leaves the refusal's text unread: that is no answer.
    """
    if exchange.status is not None and exchange.status >= 400:
        return False
    cancelled = type(exchange.error).__name__ in _LEAVING
    return cancelled or (exchange.left and not answer.complete)


def _message(said: object) -> str:
    if isinstance(said, Mapping):
        for name in ("message", "detail", "error"):
            if said.get(name):
                return _message(said[name])
        return json.dumps(said)
    return str(said)


def _never_left(exchange: Exchange) -> bool:
    """Return whether nothing was sent: no connection came about, or the program left before."""
    error = exchange.error
    if type(error).__name__ in _LEAVING and exchange.status is None and not exchange.was_sent:
        return True
    names = {kind.__name__ for kind in type(error).__mro__} if error is not None else set()
    return bool(names & {*_NEVER_SENT, "ClientConnectorError"})


def _address(url: object) -> tuple[str, str]:
    """Return the address without user, query and fragment, and its path."""
    parts = urlsplit(str(url))
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", "")), parts.path.rstrip("/")


def _readable(body: bytes) -> str:
    try:
        return unpacked(body).decode("utf-8", "replace")
    except UnreadableError:
        return ""


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
