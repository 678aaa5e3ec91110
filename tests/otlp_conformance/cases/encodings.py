"""The answer has the form of the request: content type, message, and nothing set on success."""

from google.protobuf.message import Message

from tests.otlp_conformance import json_form, payloads
from tests.otlp_conformance.answer import CONTENT_TYPES, MOST_BODY_BYTES, Answer
from tests.otlp_conformance.case import EVERY, HTTP, JSON, Failed, case
from tests.otlp_conformance.expect import accepted
from tests.otlp_conformance.talk import Talk


def same_type(answer: Answer) -> None:
    """Expect the content type of the request."""
    wanted = CONTENT_TYPES[answer.encoding]
    if answer.content_type != wanted:
        raise Failed(f"Content-Type: {wanted}", answer.said)


@case("MUST", "OTLP/HTTP, Full Success")
def exactly_200(talk: Talk) -> None:
    """Success is 200, not another 2xx."""
    for request in payloads.one_of_each():
        answer = talk.export(request)
        if not answer.ok:
            raise Failed("200", answer.said)


@case("MUST", "OTLP/HTTP Response", HTTP)
def content_type_of_success(talk: Talk) -> None:
    """A success has the content type of its request."""
    for request in payloads.one_of_each():
        same_type(talk.export(request))


def _message(talk: Talk, request: Message) -> None:
    answer = talk.export(request)
    accepted(answer)
    answer.response()


@case("MUST", "OTLP, Full Success")
def traces_response(talk: Talk) -> None:
    """The body of a success is an ExportTraceServiceResponse."""
    _message(talk, payloads.spans(1))


@case("MUST", "OTLP, Full Success")
def metrics_response(talk: Talk) -> None:
    """The body of a success is an ExportMetricsServiceResponse."""
    _message(talk, payloads.data_points(1))


@case("MUST", "OTLP, Full Success")
def logs_response(talk: Talk) -> None:
    """The body of a success is an ExportLogsServiceResponse."""
    _message(talk, payloads.log_records(1))


def _unset(talk: Talk, request: Message) -> None:
    answer = talk.export(request)
    accepted(answer)
    partial = answer.partial()
    # a warning is allowed: nothing rejected, and a message that says something
    if partial and not partial.message:
        raise Failed("`partial_success` unset", answer.said)


@case("MUST", "OTLP, Full Success")
def partial_success_unset_for_traces(talk: Talk) -> None:
    """A full success of traces leaves partial_success unset."""
    _unset(talk, payloads.spans(1))


@case("MUST", "OTLP, Full Success")
def partial_success_unset_for_metrics(talk: Talk) -> None:
    """A full success of metrics leaves partial_success unset."""
    _unset(talk, payloads.data_points(1))


@case("MUST", "OTLP, Full Success")
def partial_success_unset_for_logs(talk: Talk) -> None:
    """A full success of logs leaves partial_success unset."""
    _unset(talk, payloads.log_records(1))


@case("MUST", "OTLP, Full Success")
def partial_success_unset_for_nothing(talk: Talk) -> None:
    """An empty request leaves partial_success unset."""
    answer = talk.send(b"{}" if talk.encoding == "json" else b"")
    partial = answer.partial() if answer.ok else None
    if partial and not partial.message:
        raise Failed("`partial_success` unset", answer.said)


@case("MUST", "OTLP, Response: limit the size")
def short_answer(talk: Talk) -> None:
    """The answer to 5 MiB of nonsense is no longer than 4 MiB."""
    answer = talk.send(b'{"resourceSpans":"' + b"\xc3\xa9" * (5 << 19) + b'"}')
    if len(answer.body) + len(answer.note) > MOST_BODY_BYTES:
        raise Failed("at most 4 MiB", f"{len(answer.body) + len(answer.note)} bytes")


def _typed(talk: Talk, content_type: str) -> Answer:
    body = talk.encode(payloads.spans(1))
    return talk.post(body, headers={"Content-Type": content_type})


@case("MUST", "RFC 9110, media types", HTTP)
def upper_case_content_type(talk: Talk) -> None:
    """The content type is read without regard to case."""
    answer = _typed(talk, CONTENT_TYPES[talk.encoding].upper())
    accepted(answer)
    same_type(answer)


@case("MUST", "RFC 9110, media types; otlpreceiver JSONUncompressedUTF8", JSON)
def content_type_with_charset(talk: Talk) -> None:
    """The content type may carry a charset."""
    for kind in ("application/json; charset=utf-8", 'application/json;charset="UTF-8"'):
        answer = _typed(talk, kind)
        accepted(answer)
        same_type(answer)


@case("SHOULD", "RFC 9110, media types", HTTP)
def content_type_with_parameter(talk: Talk) -> None:
    """A parameter that means nothing here does not matter."""
    answer = _typed(talk, f"{CONTENT_TYPES[talk.encoding]}; v=1")
    accepted(answer)
    same_type(answer)


@case("SHOULD", "OTLP/HTTP Connection", HTTP)
def both_on_one_port(talk: Talk) -> None:
    """Protobuf and JSON are taken on the same port, one after the other on one connection."""
    request = payloads.spans(1)
    bodies = (json_form.encode(request), request.SerializeToString())
    with talk.line() as line:
        for kind, body in zip(
            (CONTENT_TYPES["json"], CONTENT_TYPES["protobuf"]), bodies, strict=True
        ):
            line.write(talk.request(body, {"Content-Type": kind}))
            reply = line.read()
            if reply.status != 200 or kind not in reply.headers.get("content-type", ""):
                raise Failed(f"200 {kind}", f"{reply.status} {reply.headers.get('content-type')}")


@case("MUST", "OTLP/HTTP Response: MAY gzip when asked", HTTP)
def answer_in_gzip_when_asked(talk: Talk) -> None:
    """A sender that accepts gzip gets an answer it can read."""
    body = talk.encode(payloads.spans(1))
    answer = talk.post(body, headers={"Accept-Encoding": "gzip"})
    accepted(answer)
    if answer.headers.get("content-encoding", "identity") not in {"gzip", "identity"}:
        raise Failed("gzip or no compression", answer.headers["content-encoding"])
    answer.response()


@case("SHOULD", "OTLP/HTTP Response: MAY gzip when asked", HTTP)
def answer_in_plain_when_not_asked(talk: Talk) -> None:
    """A sender that did not say it accepts gzip gets an uncompressed answer."""
    for body in (talk.encode(payloads.spans(1)), b"\xff not a request"):
        answer = talk.post(body)
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise Failed("no compression", answer.headers["content-encoding"])


@case("MUST", "OTLP/HTTP: Accept says nothing of it", HTTP)
def accept_header_changes_nothing(talk: Talk) -> None:
    """The answer follows the request's Content-Type, whatever its Accept says."""
    body = talk.encode(payloads.spans(1))
    other = CONTENT_TYPES["protobuf" if talk.encoding == "json" else "json"]
    for kind in ("*/*", "text/html", other):
        answer = talk.post(body, headers={"Accept": kind})
        accepted(answer)
        same_type(answer)


@case("MUST", "OTLP, Full Success", EVERY)
def header_of_the_senders_own(talk: Talk) -> None:
    """Headers (gRPC: metadata) that senders add are no reason to refuse."""
    body = talk.encode(payloads.spans(1))
    own = {"x-tenant": "a", "authorization": "Bearer none", "user-agent": "OTel-OTLP/1"}
    if talk.encoding == "grpc":
        known: tuple[tuple[str, str | bytes], ...] = (
            ("x-tenant", own["x-tenant"]),
            ("authorization", own["authorization"]),
            ("x-raw-bin", b"\0"),
        )
        accepted(talk.call(body, metadata=known))
    else:
        accepted(talk.post(body, headers=own))


@case("MUST", "OTLP/JSON: keys are lowerCamelCase", JSON)
def camel_case_in_answers(talk: Talk) -> None:
    """A JSON answer has lowerCamelCase keys."""
    request = payloads.spans(2)
    request.resource_spans[0].scope_spans[0].spans[0].trace_id = b""
    found = talk.export(request).json_body()
    if not isinstance(found, dict) or any("_" in key for key in _keys(found)):
        raise Failed("an object with lowerCamelCase keys", f"{found!r}"[:200])


def _keys(found: dict[str, object]) -> list[str]:
    inner = [key for value in found.values() if isinstance(value, dict) for key in _keys(value)]
    return [*found, *inner]
