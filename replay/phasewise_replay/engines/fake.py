"""`FakeEngine`: an engine for tests, whose answers a function makes."""

import time
from collections.abc import Callable
from dataclasses import replace

from phasewise_replay.engine import Answer, Received, Request, Resolved


def usual_answer(request: Request) -> Answer:
    """Answer everything in 10 ms of prefill and 20 ms of decode, nothing cached."""
    return Answer(
        sent_ns=10**18,
        duration_ns=30_000_000,
        ttft_ns=10_000_000,
        queue_ns=0,
        prefill_ns=10_000_000,
        decode_ns=20_000_000,
        input_tokens=100,
        cached_tokens=0,
        output_tokens=request.output_tokens,
    )


class FakeEngine:
    """Remembers what it was asked; says what it is told to say."""

    def __init__(
        self,
        resolved: Resolved | None = None,
        *,
        answer: Callable[[Request], Answer] = usual_answer,
        refuses: Exception | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.resets = 0
        self.stopped = False
        self._now_ns = 10**18
        self._resolved = resolved or Resolved("fake", "fake-model", "measured")
        self._answer = answer
        self._refuses = refuses

    def start(self) -> Resolved:
        """Say what it is, or refuse to start."""
        if self._refuses is not None:
            raise self._refuses
        self.stopped = False
        return replace(self._resolved)

    def stop(self) -> None:
        """Note it."""
        self.stopped = True

    def reset(self) -> None:
        """Count it."""
        self.resets += 1

    def send(self, request: Request) -> Answer:
        """Return the function's answer, sent when the one before it ended."""
        self.requests.append(request)
        answer = replace(self._answer(request), sent_ns=self._now_ns)
        self._now_ns += answer.duration_ns
        return answer

    def channel(self) -> "FakeChannel":
        """Return a channel to it."""
        return FakeChannel(self.send)


class FakeChannel:
    """Answers every request at once, as the function says; what it raises ends the run.

    Its clock stands still, so no call is late, however busy the machine is.
    """

    def __init__(self, send: Callable[[Request], Answer]) -> None:
        self._send = send
        self._opened_ns = time.perf_counter_ns()

    async def open(self, connections: int) -> None:
        """Do nothing."""

    async def send(self, request: Request) -> Received:
        """Return the function's answer."""
        try:
            answer = self._send(request)
        except KeyboardInterrupt:
            return Received(self._opened_ns, self._opened_ns, _interrupted)
        return Received(self._opened_ns, self._opened_ns, lambda: answer)

    def close(self) -> None:
        """Do nothing."""


def _interrupted() -> Answer:
    """Raise in the thread that reads answers, as Ctrl-C does."""
    raise KeyboardInterrupt
