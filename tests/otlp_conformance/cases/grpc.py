"""What only gRPC has: methods, cancellation, metadata, deadlines."""

from tests.otlp_conformance import payloads
from tests.otlp_conformance.case import GRPC, Failed, case
from tests.otlp_conformance.expect import accepted, refused
from tests.otlp_conformance.otlp import SIGNALS, TRACES
from tests.otlp_conformance.talk import Talk


@case("MUST", "OTLP/gRPC: the services", GRPC)
def every_service(talk: Talk) -> None:
    """TraceService, MetricsService and LogsService answer."""
    for message in payloads.one_of_each():
        accepted(talk.export(message))


@case("MUST", "gRPC: unknown methods", GRPC)
def a_method_that_is_not_there(talk: Talk) -> None:
    """A method that does not exist is UNIMPLEMENTED."""
    method = TRACES.method.replace("Export", "Import")
    refused(talk.call(b"", method=method), "UNIMPLEMENTED")
    accepted(talk.export(payloads.spans(1)))


@case("SHOULD", "gRPC: compression", GRPC)
def compressed_messages(talk: Talk) -> None:
    """gzip, and deflate where it is offered, carry what plain messages do."""
    accepted(talk.export(payloads.spans(3), compression="gzip"))
    answer = talk.export(payloads.spans(3), compression="deflate")
    if not answer.ok:
        refused(answer)


@case("MUST", "gRPC: metadata", GRPC)
def metadata_nobody_asked_for(talk: Talk) -> None:
    """Metadata, also binary, does not disturb."""
    extra = (("authorization", "Bearer x"), ("x-thing-bin", b"\x00\xff"))
    accepted(talk.call(payloads.spans(1).SerializeToString(), metadata=extra))


@case("MUST", "gRPC: cancellation", GRPC)
def a_call_that_is_hung_up(talk: Talk) -> None:
    """Cancelled calls leave the receiver as it was."""
    body = payloads.spans(50).SerializeToString()
    with talk.new_channel() as channel:
        for _ in range(20):
            channel.cancelled(TRACES.method, body, timeout_s=talk.receiver.timeout_s)
    accepted(talk.export(payloads.spans(1)))


SILENCE_S = 2.0
"""without an answer, which is an error, too"""


@case("SHOULD", "gRPC: unary calls have one message", GRPC)
def no_message_or_two(talk: Talk) -> None:
    """A unary call with no message or with two ends in an error, and nothing breaks."""
    one = payloads.spans(1).SerializeToString()
    timeout_s = min(SILENCE_S, talk.receiver.timeout_s)
    for bodies in ([], [one, one]):
        with talk.new_channel() as channel:
            reply = channel.streamed(TRACES.method, bodies, timeout_s=timeout_s)
        if not bodies and reply.code == "OK":
            raise Failed("an error for a call without a message", reply.code)
    accepted(talk.export(payloads.spans(1)))


@case("MUST", "OTLP/gRPC: one channel, every signal", GRPC)
def signals_in_turn_on_one_channel(talk: Talk) -> None:
    """Signals may take turns on one channel."""
    for _ in range(5):
        for message in payloads.one_of_each():
            accepted(talk.export(message))


@case("MUST", "OTLP/gRPC, Response", GRPC)
def the_response_is_of_its_signal(talk: Talk) -> None:
    """The answer of each signal parses as its own response, with `partial_success` unset."""
    for message, signal in zip(payloads.one_of_each(), SIGNALS, strict=False):
        answer = talk.export(message)
        accepted(answer)
        if answer.signal.name != signal.name and answer.partial() is not None:
            raise Failed("no partial success", answer.said)
