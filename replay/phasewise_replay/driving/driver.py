"""What is due when in a session: a call once those it waits for are answered, sessions at once.

Closed loop: a call is sent when what it depends on was answered and its tool time has passed.
`real_time_driver` does this in real time; `drive_virtually` follows the clock of an engine that
only computes when calls would be answered.
"""

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from phasewise_replay.driving.due import Due
from phasewise_replay.driving.warm_first import warm_first
from phasewise_replay.engine import Answer, Request, VirtualTime


@dataclass(frozen=True, slots=True)
class Pace:
    """How recorded waits are replayed."""

    tool_time: float = 0.0
    """share of the recorded wait; 0 sends at once"""
    longest_wait_s: float = 60.0

    def wait_ns(self, recorded_ns: int) -> int:
        """Return the wait to keep."""
        return min(round(recorded_ns * self.tool_time), round(self.longest_wait_s * 1e9))


class Waiting:
    """The calls of a session that are not sent yet, by when they are due."""

    def __init__(self, session: Sequence[Due], start_ns: int) -> None:
        self.left = len(session)
        """calls that are not answered"""
        self._session = session
        self._pending = [len(step.after) for step in session]
        self._followers: list[list[int]] = [[] for _ in session]
        for place, step in enumerate(session):
            for before in step.after:
                self._followers[before].append(place)
        self._ready: list[tuple[int, int]] = []
        for place, step in enumerate(session):
            if not step.after:
                heapq.heappush(self._ready, (start_ns + step.wait_ns, place))

    def next_ns(self) -> int | None:
        """Return when the next call is due; None while all wait for answers."""
        return self._ready[0][0] if self._ready else None

    def pop(self, now_ns: int) -> tuple[int, int] | None:
        """Return a call that is due, as its time and place; None where there is none."""
        if not self._ready or self._ready[0][0] > now_ns:
            return None
        return heapq.heappop(self._ready)

    def answered(self, place: int, now_ns: int) -> None:
        """Note an answer; what waited for it and nothing else is due after its own wait."""
        self.left -= 1
        for follower in self._followers[place]:
            self._pending[follower] -= 1
            if not self._pending[follower]:
                due_ns = now_ns + self._session[follower].wait_ns
                heapq.heappush(self._ready, (due_ns, follower))


def ignore(request: Request) -> None:
    """Note nothing of a request that is sent."""


def drive_virtually(
    sessions: Sequence[Sequence[Due]],
    engine: VirtualTime,
    answered: Callable[[Request, Answer], None],
    *,
    sent: Callable[[Request], None] = ignore,
    concurrency: int = 1,
) -> None:
    """Send everything in virtual time; `answered` is called in the order of the answers.

    First what fills the cache of the sessions that begin at once (`warm_first`).
    """
    for part in warm_first(sessions, concurrency):
        _drive_virtually(part, engine, answered, sent=sent, concurrency=concurrency)


def _drive_virtually(
    sessions: Sequence[Sequence[Due]],
    engine: VirtualTime,
    answered: Callable[[Request, Answer], None],
    *,
    sent: Callable[[Request], None],
    concurrency: int,
) -> None:
    left = iter(session for session in sessions if session)
    active: dict[int, tuple[Sequence[Due], Waiting]] = {}
    in_flight: dict[str, tuple[int, int]] = {}
    """by request, the session's number and the place in it"""
    due: list[tuple[int, int, int]] = []
    """a heap of what is due: time, session, place; equal times go by session"""

    def plan(number: int) -> None:
        """Note when the calls of a session are due whose predecessors are answered."""
        waiting = active[number][1]
        while (next_ns := waiting.next_ns()) is not None:
            ready = waiting.pop(next_ns)
            assert ready is not None
            heapq.heappush(due, (ready[0], number, ready[1]))

    def begin(now_ns: int, number: int) -> None:
        session = next(left, None)
        if session is not None:
            active[number] = session, Waiting(session, now_ns)
            plan(number)

    started = itertools.count()
    for _ in range(concurrency):
        begin(engine.now_ns, next(started))
    while due or in_flight:
        ended = engine.run(due[0][0] if due else None)
        for request, answer in ended:
            answered(request, answer)
            number, place = in_flight.pop(request.request_id)
            waiting = active[number][1]
            now_ns = answer.sent_ns + answer.duration_ns
            waiting.answered(place, now_ns)
            plan(number)
            if not waiting.left:
                del active[number]
                begin(now_ns, next(started))
        if not ended:
            at_ns, number, place = heapq.heappop(due)
            request = active[number][0][place].request
            in_flight[request.request_id] = number, place
            sent(request)
            engine.submit(request, at_ns)
