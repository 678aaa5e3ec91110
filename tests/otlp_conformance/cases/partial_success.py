"""A receiver that takes part of a request says how much it did not take, and why.

Whether it takes the good part of a half-bad request or refuses it whole is its own choice.
"""

from tests.otlp_conformance import payloads
from tests.otlp_conformance.answer import CONTENT_TYPES, Answer, Partial
from tests.otlp_conformance.case import Failed, NotOffered, case
from tests.otlp_conformance.expect import bad_data, not_taken_in_silence, survived
from tests.otlp_conformance.talk import Talk
from tests.otlp_conformance.wire_bytes import (
    field,
    span_with_raw_attributes,
    text_attribute,
)

GOOD = 9
INVALID_UTF8 = b"\xff\xfe"


def half_bad(talk: Talk) -> tuple[str, Answer]:
    """Send nine good spans and one without a trace id between them."""
    request = payloads.spans(GOOD)
    made = request.resource_spans[0].scope_spans[0].spans
    made.insert(GOOD // 2, payloads.span(b""))
    return payloads.trace_id_of(request), talk.export(request)


def partial_of(answer: Answer) -> Partial:
    """Give the partial success, or end the case where the whole request was refused."""
    if not answer.ok:
        raise NotOffered(f"refuses the whole request: {answer.said}")
    partial = answer.partial()
    if partial is None:
        raise NotOffered("takes spans without a trace id")
    return partial


@case("SHOULD", "trace.proto: ids; OTLP, Partial Success")
def one_bad_span_among_good(talk: Talk) -> None:
    """One bad span among good ones is rejected or the request refused: not taken in silence."""
    _, answer = half_bad(talk)
    not_taken_in_silence(answer)


@case("MUST", "OTLP, Partial Success")
def the_count_of_rejected(talk: Talk) -> None:
    """partial_success counts exactly the spans that were rejected."""
    _, answer = half_bad(talk)
    partial = partial_of(answer)
    if partial.rejected != 1:
        raise Failed("rejected_spans: 1", answer.said)


@case("SHOULD", "OTLP, Partial Success")
def the_reason(talk: Talk) -> None:
    """partial_success says in error_message why."""
    _, answer = half_bad(talk)
    if not partial_of(answer).message:
        raise Failed("an error_message", answer.said)


@case("MUST", "OTLP, Partial Success")
def the_answer_is_200(talk: Talk) -> None:
    """A partial success is 200 with the response of the signal in the request's type."""
    _, answer = half_bad(talk)
    partial_of(answer)
    if talk.encoding != "grpc" and answer.content_type != CONTENT_TYPES[talk.encoding]:
        raise Failed(f"Content-Type: {CONTENT_TYPES[talk.encoding]}", answer.said)


@case("MUST", "OTLP, Partial Success")
def all_bad(talk: Talk) -> None:
    """A request of nothing but bad spans counts every one of them, or is refused."""
    answer = talk.export(payloads.request_of(payloads.span(b""), payloads.span(b"")))
    if answer.ok and (partial := answer.partial()) and partial.rejected != 2:
        raise Failed("rejected_spans: 2", answer.said)
    if not answer.ok:
        bad_data(answer)


@case("MUST", "OTLP, Response: trim error_message")
def a_thousand_reasons(talk: Talk) -> None:
    """5,000 bad spans do not make an answer of more than 4 MiB."""
    answer = talk.export(payloads.request_of(*(payloads.span(b"") for _ in range(5_000))))
    if len(answer.body) > 4 << 20:
        raise Failed("at most 4 MiB", f"{len(answer.body)} bytes")
    survived(talk, answer)


@case("MUST", "OTLP, Bad Data: proto3 strings are UTF-8")
def invalid_utf8(talk: Talk) -> None:
    """Text that is no UTF-8 is refused or rejected: never a crash, never a silent success."""
    bad = text_attribute(talk.encoding, "broken", INVALID_UTF8)
    answer = talk.send(span_with_raw_attributes(talk.encoding, bad, 1))
    if not answer.ok:
        bad_data(answer)
    survived(talk, answer)


def beside_invalid_utf8(talk: Talk, good: int) -> tuple[str, Answer]:
    """Send good spans beside one whose attribute is no UTF-8."""
    request = payloads.spans(good)
    trace_id = payloads.trace_id_of(request)
    bad = text_attribute(talk.encoding, "broken", INVALID_UTF8)
    broken = span_with_raw_attributes(talk.encoding, bad, 1)
    body = talk.encode(request)
    if talk.encoding == "json":
        inner = broken[len(b'{"resourceSpans":[') : -2]
        body = body[:-2] + b"," + inner + b"]}"
        return trace_id, talk.send(body)
    return trace_id, talk.send(body + broken)  # protobuf: concatenating is merging


@case("MAY", "beyond OTLP: one bad text does not cost its neighbours")
def good_spans_beside_invalid_utf8(talk: Talk) -> None:
    """The good spans beside one with text that is no UTF-8 are taken, and the answer says so."""
    _, answer = beside_invalid_utf8(talk, GOOD)
    if not answer.ok:
        raise NotOffered(f"refuses the whole request: {answer.said}")
    partial = answer.partial()
    if partial is not None and partial.rejected not in {0, 1}:
        raise Failed("at most the one bad span rejected", answer.said)


@case("SHOULD", "logs.proto: invalid ids count as absent")
def log_record_with_a_bad_trace_id(talk: Talk) -> None:
    """A log record with a bad trace id is kept, rejected or refused, without a crash."""
    request = payloads.log_records(2)
    request.resource_logs[0].scope_logs[0].log_records[0].trace_id = b"short"
    answer = talk.export(request)
    if not answer.ok:
        bad_data(answer)
    survived(talk, answer)


@case("SHOULD", "OTLP, Bad Data")
def a_span_that_is_no_message(talk: Talk) -> None:
    """A span of random bytes beside good ones is refused or rejected, not taken in silence."""
    body = talk.encode(payloads.spans(2))
    if talk.encoding == "json":
        answer = talk.send(body[:-2] + b',{"scopeSpans":[{"spans":["text"]}]}]}')
    else:
        answer = talk.send(body + field(1, field(2, field(2, b"\x0f\x0f"))))
    not_taken_in_silence(answer)
