"""Small requests that are dear to read.  Any answer that names the fault will do; a crash not."""

import gzip
import json

from tests.otlp_conformance import payloads
from tests.otlp_conformance.answer import MOST_BODY_BYTES
from tests.otlp_conformance.case import EVERY, HTTP, JSON, PROTOBUF, Failed, case
from tests.otlp_conformance.expect import bad_data, survived
from tests.otlp_conformance.talk import Talk
from tests.otlp_conformance.wire_bytes import (
    LENGTH,
    empty_spans,
    field,
    nested_value,
    span_with_raw_attributes,
    text_attribute,
    varint,
)

MILLION = 1_000_000
PATIENCE_S = 60.0


def _held(talk: Talk, body: bytes) -> None:
    answer = talk.send(body, timeout_s=PATIENCE_S)
    if len(answer.body) > MOST_BODY_BYTES:
        raise Failed("an answer of at most 4 MiB", f"{len(answer.body)} bytes")
    survived(talk, answer)


@case("MUST", "OTLP, Bad Data")
def a_million_attributes(talk: Talk) -> None:
    """A span with 1,000,000 attributes gets an answer, and the receiver goes on."""
    attribute = text_attribute(talk.encoding, "k", b"v")
    _held(talk, span_with_raw_attributes(talk.encoding, attribute, MILLION))


@case("MUST", "OTLP, Bad Data")
def a_million_empty_spans(talk: Talk) -> None:
    """1,000,000 spans of two bytes each get an answer, and the receiver goes on."""
    _held(talk, empty_spans(talk.encoding, MILLION))


@case("MUST", "OTLP, Bad Data")
def values_in_a_hundred_thousand_levels(talk: Talk) -> None:
    """A value nested 100,000 levels deep is refused as bad data, and the receiver goes on."""
    deep = nested_value(talk.encoding, 3_000 if talk.encoding != "json" else 100_000)
    answer = talk.send(span_with_raw_attributes(talk.encoding, deep, 1), timeout_s=PATIENCE_S)
    if not answer.ok:
        bad_data(answer)
    survived(talk, answer)


@case("MUST", "OTLP, Bad Data")
def a_key_of_two_mebibytes(talk: Talk) -> None:
    """An attribute key of 2 MiB gets an answer no longer than 4 MiB."""
    _held(talk, span_with_raw_attributes(talk.encoding, _long_key(talk), 1))


def _long_key(talk: Talk) -> bytes:
    return text_attribute(talk.encoding, "k" * (2 << 20), b"v")


@case("MUST", "OTLP, Bad Data")
def a_million_resources(talk: Talk) -> None:
    """1,000,000 empty resources of two bytes each get an answer, and the receiver goes on."""
    if talk.encoding == "json":
        _held(talk, b'{"resourceSpans":[' + b",".join([b"{}"] * MILLION) + b"]}")
    else:
        _held(talk, field(1, b"") * MILLION)


@case("MUST", "OTLP, Bad Data")
def a_length_that_lies(talk: Talk) -> None:
    """A field that claims 2 GiB and holds none (in JSON: a text without end) is bad data."""
    claim = varint(1 << 3 | LENGTH) + varint(2**31 - 1)
    answer = talk.send(b'{"resourceSpans":[{"x":"' if talk.encoding == "json" else claim)
    bad_data(answer)
    survived(talk, answer)


@case("MUST", "OTLP, Bad Data", PROTOBUF)
def a_number_without_end(talk: Talk) -> None:
    """A base-128 number of a million bytes is bad data."""
    answer = talk.send(b"\x08" + b"\xff" * MILLION)
    bad_data(answer)
    survived(talk, answer)


@case("MUST", "OTLP, Bad Data", PROTOBUF)
def groups_in_groups(talk: Talk) -> None:
    """An unknown field of 100,000 nested groups is bad data or ignored."""
    _held(talk, b"\x7b" * 100_000 + b"\x7c" * 100_000)


@case("MUST", "OTLP, Bad Data", JSON)
def brackets_in_brackets(talk: Talk) -> None:
    """100,000 nested brackets are refused as bad data."""
    for body in (b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000):
        answer = talk.send(body, timeout_s=PATIENCE_S)
        if not answer.ok:
            bad_data(answer)
        survived(talk, answer)


@case("MUST", "OTLP, Bad Data", JSON)
def a_number_of_five_million_digits(talk: Talk) -> None:
    """An integer of 5,000,000 digits is refused as bad data, in short time."""
    value = b'{"key":"n","value":{"intValue":' + b"7" * 5_000_000 + b"}}"
    answer = talk.send(span_with_raw_attributes("json", value, 1), timeout_s=PATIENCE_S)
    bad_data(answer)
    survived(talk, answer)


@case("MUST", "OTLP, Bad Data", JSON)
def a_million_unknown_fields(talk: Talk) -> None:
    """1,000,000 fields with unknown names get an answer, and the receiver goes on."""
    names = ",".join(f'"unknown{n}":0' for n in range(MILLION))
    _held(talk, f"{{{names}}}".encode())


@case("MUST", "OTLP/HTTP, Request: including after decompression", HTTP)
def gzip_in_gzip(talk: Talk) -> None:
    """Gzip inside gzip is not unpacked twice: it is bad data."""
    inner = gzip.compress(talk.encode(payloads.spans(1)))
    answer = talk.post(gzip.compress(inner), headers={"Content-Encoding": "gzip"})
    bad_data(answer)


@case("MUST", "OTLP/HTTP, Request: including after decompression", HTTP)
def zeros_in_gzip(talk: Talk) -> None:
    """A gzip of zeros past the limit is refused (413, or 400 for what they are)."""
    body = gzip.compress(bytes(int(talk.receiver.limit_bytes * 1.25)), 9)
    answer = talk.post(body, headers={"Content-Encoding": "gzip"}, timeout_s=PATIENCE_S)
    if answer.code not in {"413", "400"}:
        raise Failed("413 or 400", answer.said)
    survived(talk, answer)


@case("MUST", "OTLP, Bad Data", EVERY)
def many_scopes_of_one_span(talk: Talk) -> None:
    """20,000 scopes of one span each get an answer, and the receiver goes on."""
    one = span_with_raw_attributes(talk.encoding, text_attribute(talk.encoding, "k", b"v"), 1)
    if talk.encoding == "json":
        entry = json.dumps(json.loads(one)["resourceSpans"][0]).encode()
        _held(talk, b'{"resourceSpans":[' + b",".join([entry] * 20_000) + b"]}")
    else:
        _held(talk, one * 20_000)
