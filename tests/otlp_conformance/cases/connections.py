"""Connections are kept, shared, broken off and slow; none of it costs another sender anything."""

import threading

from tests.otlp_conformance import payloads
from tests.otlp_conformance.answer import CONTENT_TYPES, Answer
from tests.otlp_conformance.case import EVERY, HTTP, Failed, case
from tests.otlp_conformance.expect import accepted
from tests.otlp_conformance.http_wire import chunked
from tests.otlp_conformance.talk import Talk

MANY = 20


@case("SHOULD", "OTLP/HTTP, Connection: keep-alive", HTTP)
def several_on_one_connection(talk: Talk) -> None:
    """Requests follow one another on one connection."""
    with talk.line() as line:
        for _ in range(MANY):
            line.write(talk.request(talk.encode(payloads.spans(1))))
            accepted(talk.keep(line.read(), "POST /v1/traces on a kept connection"))


@case("SHOULD", "RFC 9112: pipelining", HTTP)
def requests_ahead_of_answers(talk: Talk) -> None:
    """Three requests sent before the first answer are all answered, in order."""
    with talk.line() as line:
        requests = [talk.request(talk.encode(payloads.spans(1))) for _ in range(3)]
        line.write(b"".join(requests))
        for _ in requests:
            accepted(talk.keep(line.read(), "POST /v1/traces, pipelined"))


@case("MUST", "RFC 9112: chunked transfer coding", HTTP)
def a_body_in_chunks(talk: Talk) -> None:
    """A chunked body, as OpenTelemetry's JavaScript exporters send, is accepted."""
    body = talk.encode(payloads.spans(5))
    pieces = [body[start : start + 100] for start in range(0, len(body), 100)]
    headers = {"Transfer-Encoding": "chunked", "Content-Length": None}
    with talk.line() as line:
        line.write(talk.head(None, headers) + chunked(pieces))
        accepted(talk.keep(line.read(), "POST /v1/traces in chunks"))


@case("SHOULD", "RFC 9110: Expect", HTTP)
def expect_100_continue(talk: Talk) -> None:
    """A sender that asks before it sends is answered."""
    body = talk.encode(payloads.spans(1))
    with talk.line() as line:
        line.write(talk.request(body, {"Expect": "100-continue"}))
        accepted(talk.keep(line.read(), "POST /v1/traces, Expect: 100-continue"))


@case("MUST", "OTLP/HTTP: a broken sender is not the others' problem", HTTP)
def a_sender_that_goes_away(talk: Talk) -> None:
    """Half a body, and the connection is gone: the next sender is served."""
    body = talk.encode(payloads.spans(5))
    for _ in range(5):
        with talk.line() as line:
            line.write(talk.request(body)[: -len(body) // 2])
    accepted(talk.export(payloads.spans(1)))


@case("SHOULD", "OTLP/HTTP, Concurrent Requests", HTTP)
def a_slow_sender_beside_a_quick_one(talk: Talk) -> None:
    """While one request dawdles, others are answered; the slow one is, too."""
    body = talk.encode(payloads.spans(2))
    request = talk.request(body)
    with talk.line() as slow:
        slow.write(request[:-10])
        for _ in range(3):
            accepted(talk.export(payloads.spans(1)))
        slow.write(request[-10:])
        accepted(talk.keep(slow.read(), "POST /v1/traces, slowly"))


@case("SHOULD", "OTLP, Concurrent Requests", EVERY)
def many_at_once(talk: Talk) -> None:
    """Twenty senders at once are all answered."""
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def send() -> None:
        try:
            answers.append(talk.export(payloads.spans(3)))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=send) for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise Failed(f"{MANY} answers", f"{len(answers)}, and {errors[0]!r}")
    for answer in answers:
        accepted(answer)


@case("MUST", "OTLP/HTTP: header names are case-insensitive", HTTP)
def headers_in_any_case(talk: Talk) -> None:
    """Header names and the media type in upper case are understood."""
    kind = CONTENT_TYPES[talk.encoding].upper()
    headers = {"Content-Type": None, "CONTENT-TYPE": kind}
    accepted(talk.post(talk.encode(payloads.spans(1)), headers=headers))


@case("SHOULD", "RFC 9110: media type parameters", HTTP)
def a_charset_beside_the_type(talk: Talk) -> None:
    """`; charset=utf-8` behind the media type changes nothing."""
    headers = {"Content-Type": f"{CONTENT_TYPES[talk.encoding]}; charset=utf-8"}
    accepted(talk.post(talk.encode(payloads.spans(1)), headers=headers))
