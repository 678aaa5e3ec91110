"""Data that cannot be decoded is refused for good, with a status that describes it."""

import gzip
import zlib

import zstandard

from tests.otlp_conformance import payloads
from tests.otlp_conformance.answer import CONTENT_TYPES, DETAILS, Answer
from tests.otlp_conformance.case import BINARY, EVERY, GRPC, HTTP, Failed, NotOffered, case
from tests.otlp_conformance.expect import (
    accepted,
    bad_data,
    not_taken_in_silence,
    refused,
    survived,
)
from tests.otlp_conformance.otlp import SIGNALS
from tests.otlp_conformance.talk import Talk

GARBAGE = b"\xff\xff\xff\xff this is no request"
BAD_REQUEST = DETAILS[0]


def _garbage(talk: Talk, number: int) -> Answer:
    return talk.send(GARBAGE, signal=SIGNALS[number])


@case("MUST", "OTLP, Bad Data")
def garbage_traces(talk: Talk) -> None:
    """Undecodable traces are answered by 400 (gRPC: a code senders do not retry)."""
    bad_data(_garbage(talk, 0))


@case("MUST", "OTLP, Bad Data")
def garbage_metrics(talk: Talk) -> None:
    """Undecodable metrics are answered by 400."""
    bad_data(_garbage(talk, 1))


@case("MUST", "OTLP, Bad Data")
def garbage_logs(talk: Talk) -> None:
    """Undecodable logs are answered by 400."""
    bad_data(_garbage(talk, 2))


@case("SHOULD", "OTLP/gRPC, Failures: InvalidArgument is recommended", GRPC)
def garbage_is_an_invalid_argument(talk: Talk) -> None:
    """Undecodable data is INVALID_ARGUMENT."""
    for number in range(len(SIGNALS)):
        refused(_garbage(talk, number), "INVALID_ARGUMENT")


@case("MUST", "OTLP/HTTP, Failures")
def status_in_the_body(talk: Talk) -> None:
    """An error is described by a google.rpc.Status in the encoding of the request."""
    for number in range(len(SIGNALS)):
        answer = _garbage(talk, number)
        refused(answer)
        if answer.encoding != "grpc" or answer.body:
            answer.status()


@case("MUST", "OTLP/HTTP Response", HTTP)
def content_type_of_errors(talk: Talk) -> None:
    """An error has the content type of its request."""
    wanted = CONTENT_TYPES[talk.encoding]
    for number in range(len(SIGNALS)):
        answer = _garbage(talk, number)
        if answer.ok or answer.content_type != wanted:
            raise Failed(f"an error, Content-Type: {wanted}", answer.said)


@case("SHOULD", "OTLP/HTTP, Failures: Status.message")
def message_in_the_status(talk: Talk) -> None:
    """An error says in Status.message (gRPC: in its details) what is wrong."""
    answer = _garbage(talk, 0)
    refused(answer)
    if not (answer.note if talk.encoding == "grpc" else answer.status().message):
        raise Failed("a message for developers", answer.said)


@case("SHOULD", "OTLP/HTTP, Bad Data: Status.details", HTTP)
def bad_request_in_the_details(talk: Talk) -> None:
    """400 carries a BadRequest in Status.details."""
    answer = _garbage(talk, 0)
    if not answer.has_detail(BAD_REQUEST):
        raise Failed("a google.rpc.BadRequest in `details`", answer.said)


@case("MAY", "OTLP/gRPC, Failures: BadRequest", GRPC)
def bad_request_in_the_trailers(talk: Talk) -> None:
    """INVALID_ARGUMENT carries a BadRequest."""
    answer = _garbage(talk, 0)
    if not (answer.body and answer.has_detail(BAD_REQUEST)):
        raise NotOffered("no google.rpc.BadRequest in the trailers")


@case("MUST", "OTLP, Bad Data")
def cut_in_the_middle(talk: Talk) -> None:
    """A request that lacks its last byte is bad data, and so is its first half."""
    body = talk.encode(payloads.spans(3))
    for end in (-1, len(body) // 2):
        bad_data(talk.send(body[:end]))


@case("MUST", "OTLP, Bad Data", BINARY)
def cut_anywhere(talk: Talk) -> None:
    """Wherever a request is cut, the answer is a decision and never a crash."""
    body = talk.encode(payloads.spans(1))
    for end in range(1, len(body), max(1, len(body) // 40)):
        answer = talk.send(body[:end])
        if not answer.ok:
            bad_data(answer)
    survived(talk, answer)


@case("MUST", "OTLP, Bad Data", BINARY)
def wrong_wire_type(talk: Talk) -> None:
    """A field of a wire type that does not exist is bad data."""
    bad_data(talk.send(b"\x0f\x01"))


@case("MUST", "OTLP, Bad Data", BINARY)
def field_number_zero(talk: Talk) -> None:
    """A field of number 0 is bad data."""
    bad_data(talk.send(b"\x02\x01a"))


@case("SHOULD", "OTLP: each signal has its path", EVERY)
def logs_sent_to_the_traces_door(talk: Talk) -> None:
    """Logs at the door for traces are not swallowed: refused, rejected, or warned about."""
    answer = talk.send(talk.encode(payloads.log_records(1)))
    if answer.ok and ((partial := answer.partial()) is None or not partial.message):
        raise Failed("an error, or `partial_success.error_message`", answer.said)
    if not answer.ok:
        bad_data(answer)


@case("SHOULD", "OTLP: each signal has its path", EVERY)
def traces_sent_to_the_logs_door(talk: Talk) -> None:
    """Traces at the door for logs get an answer that is no crash, and nothing breaks."""
    answer = talk.send(talk.encode(payloads.spans(1)), signal=SIGNALS[2])
    if not answer.ok:
        bad_data(answer)
    survived(talk, answer)


@case("MUST", "OTLP, Bad Data; otlpreceiver ProtoGzipUncompressed", HTTP)
def gzip_that_is_not(talk: Talk) -> None:
    """A plain body labelled gzip is answered by 400 with a Status in the request's type."""
    answer = talk.post(talk.encode(payloads.spans(1)), headers={"Content-Encoding": "gzip"})
    bad_data(answer)
    answer.status()
    if answer.content_type != CONTENT_TYPES[talk.encoding]:
        raise Failed(f"Content-Type: {CONTENT_TYPES[talk.encoding]}", answer.said)


@case("MUST", "otlpreceiver ProtoZstdUncompressed", HTTP)
def zstd_that_is_not(talk: Talk) -> None:
    """A plain body labelled zstd is answered by 400, by 415 where zstd is not offered."""
    body = talk.encode(payloads.spans(1))
    headers = {"Content-Encoding": "zstd"}
    takes_zstd = talk.post(zstandard.compress(body), headers=headers).ok
    refused(talk.post(body, headers=headers), "400", *(() if takes_zstd else ("415",)))


@case("MUST", "OTLP, Bad Data", HTTP)
def gzip_cut_short(talk: Talk) -> None:
    """A gzip body without its end is bad data."""
    body = gzip.compress(talk.encode(payloads.spans(20)))
    for end in (-1, len(body) // 2, 5):
        bad_data(talk.post(body[:end], headers={"Content-Encoding": "gzip"}))


@case("MUST", "OTLP, Bad Data; RFC 1952: CRC32", HTTP)
def gzip_with_a_wrong_checksum(talk: Talk) -> None:
    """A gzip body whose checksum does not fit is bad data."""
    body = bytearray(gzip.compress(talk.encode(payloads.spans(20))))
    body[-6] ^= 0x55
    bad_data(talk.post(bytes(body), headers={"Content-Encoding": "gzip"}))


@case("MUST", "OTLP, Bad Data", HTTP)
def gzip_body_empty(talk: Talk) -> None:
    """No bytes at all, labelled gzip, are bad data or an empty request."""
    answer = talk.post(b"", headers={"Content-Encoding": "gzip"})
    if not answer.ok:
        bad_data(answer)


@case("MUST", "OTLP, Bad Data", HTTP)
def zlib_labelled_gzip(talk: Talk) -> None:
    """Zlib's format labelled gzip is bad data."""
    body = zlib.compress(talk.encode(payloads.spans(1)))
    bad_data(talk.post(body, headers={"Content-Encoding": "gzip"}))


@case("MUST", "OTLP, Bad Data", HTTP)
def gzip_without_its_label(talk: Talk) -> None:
    """A gzip body that does not say so is bad data."""
    bad_data(talk.post(gzip.compress(talk.encode(payloads.spans(1)))))


@case("MUST", "OTLP/HTTP: decoded by Content-Type", HTTP)
def the_other_encoding(talk: Talk) -> None:
    """JSON labelled protobuf, and protobuf labelled JSON, is bad data in the labelled type."""
    bodies = {"json": payloads.spans(1).SerializeToString(), "protobuf": b'{"resourceSpans":[]}'}
    answer = talk.post(bodies[talk.encoding])
    bad_data(answer)
    if answer.content_type != CONTENT_TYPES[talk.encoding]:
        raise Failed(f"Content-Type: {CONTENT_TYPES[talk.encoding]}", answer.said)


@case("SHOULD", "trace.proto: a trace id has 16 bytes")
def trace_id_too_short(talk: Talk) -> None:
    """A span whose trace id has 15 bytes is not taken in silence."""
    made = payloads.span(bytes(range(1, 16)))
    not_taken_in_silence(talk.export(payloads.request_of(made)))


@case("SHOULD", "trace.proto: all zeros is invalid")
def trace_id_of_zeros(talk: Talk) -> None:
    """A span whose trace id is all zeros is not taken in silence."""
    not_taken_in_silence(talk.export(payloads.request_of(payloads.span(bytes(16)))))


@case("SHOULD", "trace.proto: the trace id is required")
def no_trace_id(talk: Talk) -> None:
    """A span without a trace id is not taken in silence."""
    not_taken_in_silence(talk.export(payloads.request_of(payloads.span(b""))))


@case("SHOULD", "trace.proto: a span id has 8 bytes")
def span_id_too_long(talk: Talk) -> None:
    """A span whose id has 9 bytes is not taken in silence."""
    made = payloads.span()
    made.span_id = bytes(range(1, 10))
    not_taken_in_silence(talk.export(payloads.request_of(made)))


@case("MUST", "OTLP, Bad Data")
def good_after_bad(talk: Talk) -> None:
    """After ten bad requests a good one is accepted."""
    for _ in range(10):
        talk.send(GARBAGE)
    accepted(talk.export(payloads.spans(1)))
