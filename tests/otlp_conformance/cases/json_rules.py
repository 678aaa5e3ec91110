"""OTLP/JSON: hex ids, numbers for enums, text or numbers for 64-bit integers, unknown fields."""

import json
from typing import Any

from tests.otlp_conformance import json_form, payloads
from tests.otlp_conformance.case import JSON, case
from tests.otlp_conformance.expect import accepted, bad_data, not_taken_in_silence
from tests.otlp_conformance.talk import Talk


def _span(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    return found


def _document() -> dict[str, Any]:
    return json_form.as_object(payloads.spans(1))


def _send(talk: Talk, document: object) -> None:
    accepted(talk.send(json.dumps(document).encode()))


@case("MUST", "OTLP, JSON Encoding: case-insensitive hex", JSON)
def ids_in_upper_case(talk: Talk) -> None:
    """Trace and span ids in upper-case hex are accepted."""
    document = _document()
    span = _span(document)
    span["traceId"] = "ABCDEF0123456789ABCDEF0123456789"
    span["spanId"] = "ABCDEF0123456789"
    _send(talk, document)


@case("MUST", "OTLP, JSON Encoding: ids are hex, not base64", JSON)
def ids_in_base64(talk: Talk) -> None:
    """Ids in base64 are not taken in silence."""
    document = _document()
    _span(document)["traceId"] = "q83vASNFZ4mrze8BI0VniQ=="
    not_taken_in_silence(talk.send(json.dumps(document).encode()))


@case("MUST", "proto3 JSON mapping: int64 is text or number", JSON)
def integers_as_text(talk: Talk) -> None:
    """64-bit integers written as text are accepted."""
    document = _document()
    span = _span(document)
    span["startTimeUnixNano"] = str(span["startTimeUnixNano"])
    span["attributes"].append({"key": "n", "value": {"intValue": "9007199254740993"}})
    _send(talk, document)


@case("MUST", "proto3 JSON mapping: int64 is text or number", JSON)
def integers_as_numbers(talk: Talk) -> None:
    """64-bit integers written as numbers are accepted."""
    document = _document()
    span = _span(document)
    span["startTimeUnixNano"] = int(span["startTimeUnixNano"])
    span["endTimeUnixNano"] = int(span["endTimeUnixNano"])
    span["attributes"].append({"key": "n", "value": {"intValue": 42}})
    _send(talk, document)


@case("MUST", "OTLP, JSON Encoding: receivers ignore unknown fields", JSON)
def unknown_fields(talk: Talk) -> None:
    """Fields that do not exist (yet) are ignored at every level."""
    document = _document()
    document["fromTheFuture"] = {"a": [1]}
    document["resourceSpans"][0]["fromTheFuture"] = 1
    _span(document)["fromTheFuture"] = "x"
    _span(document)["attributes"][0]["fromTheFuture"] = True
    _send(talk, document)


@case("MUST", "OTLP, JSON Encoding: enums are integers", JSON)
def kind_as_a_number(talk: Talk) -> None:
    """Kind and status code are integers."""
    document = _document()
    _span(document)["kind"] = 3
    _span(document)["status"] = {"code": 2, "message": "no"}
    _send(talk, document)


@case("MUST", "proto3 JSON mapping: bytes are base64", JSON)
def bytes_in_base64(talk: Talk) -> None:
    """`bytesValue` is base64, unlike ids."""
    document = _document()
    value = {"bytesValue": "AAECAwT/"}
    _span(document)["attributes"].append({"key": "b", "value": value})
    _send(talk, document)


@case("SHOULD", "proto3 JSON mapping: doubles", JSON)
def doubles_of_every_kind(talk: Talk) -> None:
    """Doubles as numbers, and as NaN, Infinity and -Infinity in quotes, are accepted."""
    document = _document()
    for value in (1, 0.5, 1e300, "NaN", "Infinity", "-Infinity"):
        attribute = {"key": f"d{value}", "value": {"doubleValue": value}}
        _span(document)["attributes"].append(attribute)
    _send(talk, document)


@case("MUST", "proto3 JSON mapping: null is unset", JSON)
def null_is_unset(talk: Talk) -> None:
    """A field that is null counts as absent."""
    document = _document()
    _span(document)["parentSpanId"] = None
    _span(document)["events"] = None
    _span(document)["status"] = None
    _send(talk, document)


@case("MUST", "RFC 8259: JSON text is UTF-8", JSON)
def text_beyond_ascii(talk: Talk) -> None:
    """Text beyond ASCII is accepted, raw and escaped, surrogate pairs included."""
    document = _document()
    _span(document)["name"] = "Grüße 漢字 🦜"
    accepted(talk.send(json.dumps(document, ensure_ascii=False).encode()))
    _send(talk, document)


@case("MUST", "OTLP, Bad Data", JSON)
def json_of_another_shape(talk: Talk) -> None:
    """A list, a number and a text are no request."""
    for body in (b"[]", b"1", b'"text"', b"null"):
        bad_data(talk.send(body))


@case("MUST", "OTLP, Bad Data", JSON)
def a_list_where_an_object_belongs(talk: Talk) -> None:
    """`resourceSpans` must be a list of objects."""
    for body in (b'{"resourceSpans":{}}', b'{"resourceSpans":[1]}', b'{"resourceSpans":"x"}'):
        bad_data(talk.send(body))


@case("SHOULD", "RFC 8259", JSON)
def whitespace_and_order(talk: Talk) -> None:
    """Indented JSON with its keys in another order is accepted."""
    accepted(talk.send(json.dumps(_document(), indent=2, sort_keys=True).encode()))
