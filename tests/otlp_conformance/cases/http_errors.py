"""Wrong methods, paths and types: the right status, and google.rpc.Status in each body."""

from tests.otlp_conformance import payloads
from tests.otlp_conformance.answer import CONTENT_TYPES, Answer, NoAnswerError
from tests.otlp_conformance.case import HTTP, Failed, case
from tests.otlp_conformance.expect import accepted, bad_data, refused
from tests.otlp_conformance.otlp import SIGNALS
from tests.otlp_conformance.talk import Talk

METHODS = ("GET", "PUT", "PATCH", "DELETE")


def _described(answer: Answer) -> None:
    """Expect a Status in the type of the request."""
    wanted = CONTENT_TYPES[answer.encoding]
    if answer.content_type != wanted:
        raise Failed(f"Content-Type: {wanted}", answer.said)
    answer.status()


@case("SHOULD", "RFC 9110; otlpreceiver TestHandleInvalidRequests", HTTP)
def other_methods(talk: Talk) -> None:
    """GET, PUT, PATCH and DELETE are answered by 405 at each of the three doors."""
    for signal in SIGNALS:
        for method in METHODS:
            refused(talk.post(b"1234", method=method, signal=signal), "405")


@case("MUST", "OTLP/HTTP, Failures: 4xx bodies are google.rpc.Status", HTTP)
def status_for_other_methods(talk: Talk) -> None:
    """The answer to another method is a Status in the content type of the request."""
    for method in METHODS:
        answer = talk.post(b"1234", method=method)
        refused(answer)
        _described(answer)


@case("SHOULD", "RFC 9110: 405 lists the allowed methods", HTTP)
def allow_header(talk: Talk) -> None:
    """405 names POST in its Allow header."""
    answer = talk.post(b"", method="GET")
    refused(answer, "405")
    if "POST" not in answer.headers.get("allow", ""):
        raise Failed("Allow: POST", f"Allow: {answer.headers.get('allow', '(none)')}")


@case("MUST", "RFC 9110: HEAD has no body", HTTP)
def head_request(talk: Talk) -> None:
    """HEAD is refused without a body, and the connection is not out of step after it."""
    with talk.line() as line:
        line.write(talk.head(0, method="HEAD"))
        answer = talk.keep(line.read(has_body=False), "HEAD /v1/traces")
        refused(answer)
        if answer.headers.get("connection", "").lower() == "close":
            return
        line.write(talk.request(talk.encode(payloads.spans(1))))
        second = talk.keep(line.read(), "POST after HEAD")
        if not second.ok:
            raise Failed("200 for the request that follows", second.said)


@case("SHOULD", "RFC 9110", HTTP)
def unknown_path(talk: Talk) -> None:
    """A path that is not there is answered by 404."""
    refused(talk.post(talk.encode(payloads.spans(1)), path="/v1/nothing"), "404")


@case("MUST", "OTLP/HTTP, Failures: 4xx bodies are google.rpc.Status", HTTP)
def status_for_unknown_path(talk: Talk) -> None:
    """404 has a Status in the content type of the request."""
    for path in ("/v1/nothing", "/v2/traces", "/v1/traces/more", "/v1/Traces"):
        answer = talk.post(talk.encode(payloads.spans(1)), path=path)
        refused(answer)
        _described(answer)


@case("SHOULD", "otlpreceiver: no content type", HTTP)
def no_content_type(talk: Talk) -> None:
    """A request without content type is answered by 415 at each of the three doors."""
    for request in payloads.one_of_each():
        body = talk.encode(request)
        signal = talk.export(request).signal
        refused(talk.post(body, signal=signal, headers={"Content-Type": None}), "415")


@case("SHOULD", "otlpreceiver: invalid content type", HTTP)
def other_content_types(talk: Talk) -> None:
    """A content type that OTLP does not have is answered by 415."""
    body = talk.encode(payloads.spans(1))
    others = ("invalid", "text/plain", "application/x-www-form-urlencoded", "application/grpc")
    for kind in others:
        refused(talk.post(body, headers={"Content-Type": kind}), "415")


@case("MUST", "OTLP/HTTP, Failures: 4xx bodies are google.rpc.Status", HTTP)
def status_for_other_content_types(talk: Talk) -> None:
    """The answer to a strange content type is a Status, in protobuf or JSON as labelled."""
    body = talk.encode(payloads.spans(1))
    for kind in (None, "text/plain"):
        answer = talk.post(body, headers={"Content-Type": kind})
        refused(answer)
        _either(answer)


def _either(answer: Answer) -> None:
    """Expect a Status in whichever of the two types the answer is labelled with."""
    by_type = {value: key for key, value in CONTENT_TYPES.items()}
    if answer.content_type not in by_type:
        raise Failed(" or ".join(by_type), answer.said)
    encoding = by_type[answer.content_type]
    Answer(
        encoding,
        answer.signal,
        answer.sent,
        answer.code,
        answer.headers,
        answer.body,
    ).status()


@case("SHOULD", "RFC 9110: 415 for a coding that is not offered", HTTP)
def unknown_coding(talk: Talk) -> None:
    """A content encoding that does not exist is answered by 415 (or 400)."""
    body = talk.encode(payloads.spans(1))
    refused(talk.post(body, headers={"Content-Encoding": "invalid"}), "415", "400")


@case("MUST", "OTLP/HTTP, Failures: 4xx bodies are google.rpc.Status", HTTP)
def status_for_unknown_coding(talk: Talk) -> None:
    """The answer to a coding that does not exist is a Status in the request's type."""
    body = talk.encode(payloads.spans(1))
    answer = talk.post(body, headers={"Content-Encoding": "invalid"})
    refused(answer)
    _described(answer)


@case("SHOULD", "otlpreceiver TestOTLPReceiverNoContentType", HTTP)
def unknown_coding_without_content_type(talk: Talk) -> None:
    """With neither a known coding nor a content type, the error is JSON."""
    headers = {"Content-Encoding": "invalid", "Content-Type": None}
    answer = talk.post(b'{"key": "value"}', headers=headers)
    refused(answer)
    if answer.content_type != "application/json":
        raise Failed("Content-Type: application/json", answer.said)


@case("MUST", "OTLP, Bad Data; otlpreceiver: invalid request", HTTP)
def digits_for_a_body(talk: Talk) -> None:
    """The body `1234` is answered by 400 at each of the three doors."""
    for signal in SIGNALS:
        answer = talk.post(b"1234", signal=signal)
        bad_data(answer)
        _described(answer)


@case("MUST", "RFC 9110: a body is optional", HTTP)
def no_length_no_body(talk: Talk) -> None:
    """A POST with neither length nor chunks is answered at once: 200, 400 or 411."""
    with talk.line() as line:
        line.write(talk.head(None))
        answer = talk.keep(line.read(), "POST /v1/traces without a length")
    if answer.code not in {"200", "400", "411"}:
        raise Failed("200, 400 or 411", answer.said)


@case("MUST", "RFC 9112: a request that is no HTTP", HTTP)
def not_http(talk: Talk) -> None:
    """Bytes that are no HTTP are answered by an error or by closing, and others go on."""
    with talk.line() as line:
        line.write(b"\x16\x03\x01\x02\x00 this is no request\r\n\r\n")
        try:
            reply = line.read()
        except NoAnswerError:
            reply = None
    if reply is not None and reply.status < 400:
        raise Failed("an error, or the end of the connection", str(reply.status))
    accepted(talk.export(payloads.spans(1)))


@case("MUST", "OTLP/HTTP: headers are bounded", HTTP)
def a_header_of_a_mebibyte(talk: Talk) -> None:
    """A header of 1 MiB is refused or ignored, and others go on."""
    with talk.line() as line:
        whole = talk.request(b"", {"x-long": "h" * (1 << 20)})
        try:
            line.write(whole)
            reply = line.read()
        except NoAnswerError:
            reply = None
    if reply is not None and reply.status in {500, 502}:
        raise Failed("4xx, or the end of the connection", str(reply.status))
    accepted(talk.export(payloads.spans(1)))
