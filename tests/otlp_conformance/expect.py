"""Judgements that many cases share; each raises `Failed` with what was expected."""

from tests.otlp_conformance.answer import Answer
from tests.otlp_conformance.case import Failed, NotOffered
from tests.otlp_conformance.payloads import spans
from tests.otlp_conformance.talk import Talk


def accepted(answer: Answer) -> None:
    """Expect that everything was taken.  The answer's form has cases of its own."""
    if not answer.ok:
        raise Failed("200 OK" if answer.encoding != "grpc" else "OK", answer.said)
    if (rejected := rejected_by(answer)) > 0:
        raise Failed("nothing rejected", f"{rejected} rejected: {answer.said}")


def rejected_by(answer: Answer) -> int:
    """Count what an answer says was rejected; 0 where its body cannot be read."""
    try:
        partial = answer.partial()
    except Failed:
        return 0
    return partial.rejected if partial else 0


def refused(answer: Answer, *codes: str) -> None:
    """Expect an error that no sender retries, where codes are given one of them."""
    if codes and answer.code not in codes:
        raise Failed(" or ".join(codes), answer.said)
    if answer.ok or answer.retryable:
        raise Failed("an error that senders do not retry", answer.said)


def bad_data(answer: Answer) -> None:
    """Expect 400 over HTTP and, over gRPC, any code that says the data is at fault for good."""
    refused(answer, *(() if answer.encoding == "grpc" else ("400",)))


def too_large(answer: Answer) -> None:
    """Expect 413 over HTTP and RESOURCE_EXHAUSTED over gRPC."""
    refused(answer, "RESOURCE_EXHAUSTED" if answer.encoding == "grpc" else "413")


def not_taken_in_silence(answer: Answer) -> None:
    """Expect that unacceptable data is refused whole, or its part rejected."""
    if answer.ok and rejected_by(answer) == 0:
        raise Failed("400, or 200 with `partial_success` counting the rejected", answer.said)
    if not answer.ok:
        bad_data(answer)


def survived(talk: Talk, answer: Answer) -> None:
    """Expect any answer but a crash, and that the receiver goes on taking requests."""
    if answer.code in {"500", "UNKNOWN"}:
        raise Failed("an answer that names the fault", answer.said)
    accepted(talk.export(spans(1)))


def offered(answer: Answer, what: str) -> None:
    """Expect that an optional thing is taken, or declined properly: then it is not offered."""
    if answer.ok:
        accepted(answer)
        return
    if answer.retryable or answer.code in {"500", "UNKNOWN", "INTERNAL"}:
        raise Failed(f"{what} taken, or declined for good", answer.said)
    raise NotOffered(f"{what}: {answer.said}")
