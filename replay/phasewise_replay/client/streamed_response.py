"""The bytes of one streamed response with the clock at each piece, and the answer read from them.

`OpenAiClient` and `OpenAiChannel` collect the bytes. They are read once the response is complete,
so that the client does not slow down what it measures.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from phasewise_replay.client import streamed_answer
from phasewise_replay.client.request_body import PLAIN, Dialect
from phasewise_replay.engine import Answer, Request

OK = 200


@dataclass(slots=True)
class StreamedResponse:
    """What came of a request; it grows until `end_ns` is set."""

    sent_ns: int
    """since the Unix epoch"""
    begin_ns: int
    """when it was sent, on the clock of `time.perf_counter_ns`, as all that follow"""
    end_ns: int = 0
    status: int | None = None
    """of HTTP; None when no response came"""
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    """parts of the body, and when each came"""
    error: str | None = None
    """why the response is not complete"""

    def events(self) -> Iterator[tuple[int, bytes]]:
        """Yield the data of each event, and when its last byte came."""
        return streamed_answer.events(self.pieces)

    def has_output(self) -> bool:
        """Return whether an event with output has come."""
        return any(streamed_answer.has_content(event) for _, event in self.events())


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """An answer with the clock at every event of its stream."""

    answer: Answer
    begin_ns: int
    """when it was sent, on the clock of `time.perf_counter_ns`"""
    received: Sequence[tuple[int, bytes]]
    """events, with the clock at which each came"""

    def token_ns(self) -> list[int]:
        """Return when each event with output came."""
        return [at for at, event in self.received if streamed_answer.has_content(event)]


def timed_answer(
    request: Request, response: StreamedResponse, dialect: Dialect = PLAIN
) -> TimedAnswer:
    """Read a response that has ended; a failure is in the answer's `error`."""
    error = response.error
    received: list[tuple[int, bytes]] = []
    if error is None and response.status != OK:
        body = b"".join(piece for _, piece in response.pieces)
        error = streamed_answer.refusal(response.status or 0, body)
    else:
        received = list(response.events())
    first = (at for at, event in received if streamed_answer.has_content(event))
    first_ns = next(first, None)
    events = [event for _, event in received]
    answer = streamed_answer.answer(
        events,
        sent_ns=response.sent_ns,
        ttft_ns=None if first_ns is None else first_ns - response.begin_ns,
        duration_ns=response.end_ns - response.begin_ns,
        error=error,
    )
    if dialect.omits_zero_cached and request.endpoint == "messages" and answer.error is None:
        answer = replace(answer, cached_tokens=answer.cached_tokens or 0)
    if request.free:
        answer = replace(answer, output=streamed_answer.output(events))
    return TimedAnswer(answer, response.begin_ns, received)
