"""A receiver that cannot take more says so in a way that makes senders come back."""

from tests.otlp_conformance import payloads
from tests.otlp_conformance.answer import CONTENT_TYPES, DETAILS, Answer
from tests.otlp_conformance.case import EVERY, GRPC, HTTP, Failed, case
from tests.otlp_conformance.expect import accepted
from tests.otlp_conformance.talk import Talk


def _turned_away(talk: Talk) -> Answer:
    with talk.overload()():
        answer = talk.export(payloads.spans(1))
    if answer.ok or not answer.retryable:
        raise Failed("an error that senders retry", answer.said)
    return answer


@case("MUST", "OTLP, Throttling", EVERY)
def overload_is_retryable(talk: Talk) -> None:
    """Overload is 429 or 503 (gRPC: UNAVAILABLE), never 500."""
    _turned_away(talk)


@case("SHOULD", "OTLP/HTTP, Throttling: Retry-After", HTTP)
def when_to_come_back(talk: Talk) -> None:
    """Overload carries Retry-After."""
    answer = _turned_away(talk)
    if not answer.headers.get("retry-after", "").isdecimal():
        raise Failed("Retry-After in seconds", f"{answer.said} {dict(answer.headers)}")


@case("SHOULD", "OTLP/gRPC, Throttling: RetryInfo", GRPC)
def when_to_call_back(talk: Talk) -> None:
    """Overload carries RetryInfo."""
    answer = _turned_away(talk)
    if not (answer.body and answer.has_detail(DETAILS[1])):
        raise Failed("a google.rpc.RetryInfo", answer.said)


@case("MUST", "OTLP/HTTP, Failures", HTTP)
def overload_in_the_request_s_type(talk: Talk) -> None:
    """Overload is described by a Status in the content type of the request."""
    answer = _turned_away(talk)
    answer.status()
    if answer.content_type != CONTENT_TYPES[talk.encoding]:
        raise Failed(f"Content-Type: {CONTENT_TYPES[talk.encoding]}", answer.said)


@case("MUST", "OTLP, Throttling", EVERY)
def taken_again_afterwards(talk: Talk) -> None:
    """Once the overload is over, the retry is accepted and stored."""
    request = payloads.spans(4)
    with talk.overload()():
        talk.export(request)
    accepted(talk.export(request))
    talk.expect_stored(payloads.trace_id_of(request), 4)
