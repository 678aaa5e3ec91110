"""Every kind and size of attribute value is accepted."""

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from tests.otlp_conformance import payloads
from tests.otlp_conformance.case import case
from tests.otlp_conformance.expect import accepted, bad_data, survived
from tests.otlp_conformance.talk import Talk
from tests.otlp_conformance.wire_bytes import nested_value, span_with_raw_attributes

EDGES = (0, -1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63))
DOUBLES = (-0.0, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "",
    "Zürich, 東京, القاهرة, 🦊👩‍👩‍👧",
    'quote " backslash \\ slash / tab \t line \n return \r',
    "nul \x00, bell \x07, delete \x7f",
    "line separator \u2028, byte order mark \ufeff, last \U0010ffff",
)


@case("MUST", "common.proto, AnyValue")
def every_kind_of_value(talk: Talk) -> None:
    """A value of every kind, the empty one too, is accepted."""
    made = payloads.span()
    for number, value in enumerate(payloads.every_value()):
        made.attributes.append(KeyValue(key=f"probe.{number}", value=value))
    accepted(talk.export(payloads.request_of(made)))


@case("MUST", "common.proto, AnyValue")
def integers_at_the_edges(talk: Talk) -> None:
    """Integers up to both ends of 64 bits are accepted."""
    values = [AnyValue(int_value=number) for number in EDGES]
    accepted(talk.export(payloads.value_span(AnyValue(array_value=ArrayValue(values=values)))))


@case("MUST", "common.proto, AnyValue; proto3 JSON mapping")
def doubles_at_the_edges(talk: Talk) -> None:
    """Doubles are accepted, infinities and NaN (in JSON: as strings) among them."""
    values = [AnyValue(double_value=number) for number in DOUBLES]
    accepted(talk.export(payloads.value_span(AnyValue(array_value=ArrayValue(values=values)))))


@case("MUST", "proto3: strings are UTF-8")
def any_unicode(talk: Talk) -> None:
    """Text of any script, control characters and NUL included, is accepted in keys and values."""
    made = payloads.span()
    for number, value in enumerate(TEXTS):
        made.attributes.append(payloads.text(f"{number} {value}", value))
    made.name = TEXTS[1]
    accepted(talk.export(payloads.request_of(made)))


@case("SHOULD", "common.proto: keys must be unique, receivers decide")
def the_same_key_twice(talk: Talk) -> None:
    """An attribute given twice does not break the request."""
    made = payloads.span()
    made.attributes.extend([payloads.text("twice", "a"), payloads.text("twice", "b")])
    survived(talk, talk.export(payloads.request_of(made)))


@case("MUST", "trace.proto")
def a_thousand_attributes(talk: Talk) -> None:
    """A span with 1,000 attributes is accepted."""
    made = payloads.span()
    made.attributes.extend(payloads.text(f"llm.input_messages.{n}", "hi") for n in range(1_000))
    accepted(talk.export(payloads.request_of(made)))


@case("SHOULD", "common.proto, AnyValue")
def a_prompt_of_one_mebibyte(talk: Talk) -> None:
    """An attribute of 1 MiB is accepted."""
    accepted(talk.export(payloads.long_text(1 << 20)))


@case("SHOULD", "common.proto, AnyValue")
def values_in_ten_levels(talk: Talk) -> None:
    """A value nested ten levels deep is accepted."""
    body = span_with_raw_attributes(talk.encoding, nested_value(talk.encoding, 10), 1)
    accepted(talk.send(body))


@case("SHOULD", "common.proto, AnyValue")
def values_in_thirty_levels(talk: Talk) -> None:
    """A value nested thirty levels deep is accepted."""
    body = span_with_raw_attributes(talk.encoding, nested_value(talk.encoding, 30), 1)
    accepted(talk.send(body))


@case("MUST", "OTLP, Bad Data")
def values_in_a_thousand_levels(talk: Talk) -> None:
    """A value nested 1,000 levels deep is accepted or refused as bad data, and nothing breaks."""
    body = span_with_raw_attributes(talk.encoding, nested_value(talk.encoding, 1_000), 1)
    answer = talk.send(body)
    if not answer.ok:
        bad_data(answer)
    survived(talk, answer)
