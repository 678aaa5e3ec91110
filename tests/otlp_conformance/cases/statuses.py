"""Judgements of every answer of the run at once; these run last."""

from tests.otlp_conformance.answer import CONTENT_TYPES, MOST_BODY_BYTES
from tests.otlp_conformance.case import EVERY, HTTP, Failed, case
from tests.otlp_conformance.talk import Talk


@case("MUST", "OTLP/HTTP: 500 makes senders drop their data", EVERY)
def no_answer_was_a_crash(talk: Talk) -> None:
    """No request of the whole run was answered by 500 or UNKNOWN."""
    for answer in talk.journal:
        if answer.code in {"500", "UNKNOWN", "INTERNAL"}:
            raise Failed("no 500", f"{answer.sent}: {answer.said}")


@case("MUST", "OTLP/HTTP, Failures: every 4xx and 5xx", HTTP)
def every_error_was_a_status(talk: Talk) -> None:
    """Every HTTP error of the run carried a google.rpc.Status."""
    for answer in talk.journal:
        if answer.encoding != talk.encoding or answer.ok or not answer.parsed_as_http:
            continue
        if answer.body and answer.content_type == CONTENT_TYPES[talk.encoding]:
            answer.status()


@case("MUST", "OTLP, Response: 4 MiB", EVERY)
def every_answer_was_small(talk: Talk) -> None:
    """No answer of the run was larger than 4 MiB."""
    for answer in talk.journal:
        if len(answer.body) > MOST_BODY_BYTES:
            raise Failed("at most 4 MiB", f"{answer.sent}: {len(answer.body)} bytes")


@case("MUST", "OTLP, Full Success: partial_success is unset", EVERY)
def success_says_nothing(talk: Talk) -> None:
    """Success without a rejection or a warning leaves `partial_success` unset."""
    for answer in talk.journal:
        if answer.encoding != talk.encoding or not answer.ok or not answer.body:
            continue
        partial = answer.partial()
        if partial is not None and not partial.rejected and not partial.message:
            raise Failed("no `partial_success`", f"{answer.sent}: {answer.said}")
