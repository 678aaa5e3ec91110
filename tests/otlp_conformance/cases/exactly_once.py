"""What is acknowledged is stored, and stored once."""

from tests.otlp_conformance import payloads
from tests.otlp_conformance.case import EVERY, Failed, case
from tests.otlp_conformance.cases.partial_success import GOOD, beside_invalid_utf8, half_bad
from tests.otlp_conformance.expect import accepted
from tests.otlp_conformance.talk import Talk


@case("MUST", "OTLP, Full Success", EVERY)
def accepted_is_stored(talk: Talk) -> None:
    """Every span of an accepted request is stored."""
    request = payloads.spans(25)
    accepted(talk.export(request))
    talk.expect_stored(payloads.trace_id_of(request), 25)


@case("SHOULD", "OTLP, Known Limitations: duplicates", EVERY)
def a_retry_is_stored_once(talk: Talk) -> None:
    """The same request three times, as after lost answers, is stored once."""
    request = payloads.spans(7)
    for _ in range(3):
        accepted(talk.export(request))
    talk.expect_stored(payloads.trace_id_of(request), 7)


@case("MUST", "OTLP, Partial Success", EVERY)
def the_good_part_is_stored(talk: Talk) -> None:
    """Of a request that is half bad, what was not rejected is stored."""
    trace_id, answer = half_bad(talk)
    if answer.ok:
        talk.expect_stored(trace_id, GOOD)
    else:
        talk.expect_nothing_stored(trace_id)


@case("MUST", "OTLP, Partial Success", EVERY)
def neighbours_of_invalid_utf8_are_stored(talk: Talk) -> None:
    """Where the answer is a success, the good spans beside a bad text are stored."""
    trace_id, answer = beside_invalid_utf8(talk, GOOD)
    if answer.ok:
        talk.expect_stored(trace_id, GOOD)


@case("MUST", "OTLP, Bad Data", EVERY)
def refused_is_not_stored(talk: Talk) -> None:
    """A request that was refused leaves nothing behind."""
    request = payloads.spans(3)
    body = talk.encode(request)[:-1]
    answer = talk.send(body)
    if answer.ok:
        raise Failed("an error for a request cut short", answer.said)
    talk.expect_nothing_stored(payloads.trace_id_of(request))
