"""Run sessions against an engine: a call when those it waits for are answered, sessions at once.

Closed loop: a call is sent when what it depends on was answered and its tool time has passed.
`drive` does this in real time; `drive_virtually` follows the clock of an engine that only computes
when calls would be answered.
"""

import contextlib
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from phasewise_replay.engine import Answer, Request, VirtualTime

Serve = Callable[[Request, int], Answer]
"""sends a request that is `lag_ns` late"""

CTRL_C_S = 0.2
"""until Ctrl-C is seen while all workers wait for answers"""


@dataclass(frozen=True, slots=True)
class Due:
    """One request, what it waits for, and how long after that it is sent."""

    request: Request
    wait_ns: int
    after: tuple[int, ...]
    """places in the session of the calls that must have been answered; none at its start"""


@dataclass(frozen=True, slots=True)
class Pace:
    """How recorded waits are replayed."""

    tool_time: float = 0.0
    """share of the recorded wait; 0 sends at once"""
    longest_wait_s: float = 60.0

    def wait_ns(self, recorded_ns: int) -> int:
        """Return the wait to keep."""
        return min(round(recorded_ns * self.tool_time), round(self.longest_wait_s * 1e9))


def drive(sessions: Sequence[Sequence[Due]], serve: Serve, *, concurrency: int = 1) -> None:
    """Send everything, `concurrency` sessions at a time; an exception from `serve` ends it.

    Ctrl-C ends it at once: a server may take minutes for the answers that are still due.
    """
    ending = threading.Event()
    if concurrency == 1:
        for session in sessions:
            _follow(session, serve, ending)
        return
    left = iter(sessions)
    taking = threading.Lock()
    ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def work() -> None:
        try:
            while not ending.is_set():
                with taking:
                    session = next(left, None)
                if session is None:
                    break
                _follow(session, serve, ending)
        except BaseException as error:
            ended.put(error)
        else:
            ended.put(None)

    workers = min(concurrency, len(sessions))
    for _ in range(workers):
        # a daemon, so that the process can end while it waits for an answer
        threading.Thread(target=work, name="replay", daemon=True).start()
    first: BaseException | None = None
    try:
        for _ in range(workers):
            error = _next(ended)
            if error is not None:
                ending.set()
                first = first or error
    finally:
        ending.set()
    if first is not None:
        raise first


def _next(ended: "SimpleQueue[BaseException | None]") -> BaseException | None:
    """Wait for a worker's end.

    Ctrl-C is seen between the tries only: polars puts a handler before Python's that has the kernel
    go on with the wait.
    """
    while True:
        with contextlib.suppress(Empty):
            return ended.get(timeout=CTRL_C_S)


def _follow(session: Sequence[Due], serve: Serve, ending: threading.Event) -> None:
    """Run one session; a session starts when a worker is free, so it is never late."""
    if is_chain(session):
        due_ns = time.perf_counter_ns()
        for step in session:
            due_ns += step.wait_ns
            if ending.wait(max(0, due_ns - time.perf_counter_ns()) / 1e9):
                return
            serve(step.request, time.perf_counter_ns() - due_ns)
            due_ns = time.perf_counter_ns()
        return
    _follow_graph(session, serve, ending)


def is_chain(session: Sequence[Due]) -> bool:
    """Return whether each call waits for the one before it and no other."""
    return all(step.after == ((place - 1,) if place else ()) for place, step in enumerate(session))


def _follow_graph(session: Sequence[Due], serve: Serve, ending: threading.Event) -> None:
    """Run a session with parallel sub-agents: a thread for every call in flight."""
    graph = Waiting(session, time.perf_counter_ns())
    answered: SimpleQueue[tuple[int, BaseException | None]] = SimpleQueue()

    def call(place: int, due_ns: int) -> None:
        try:
            serve(session[place].request, time.perf_counter_ns() - due_ns)
        except BaseException as error:
            answered.put((place, error))
        else:
            answered.put((place, None))

    in_flight = 0
    while graph.left and not ending.is_set():
        now_ns = time.perf_counter_ns()
        while (ready := graph.pop(now_ns)) is not None:
            due_ns, place = ready
            threading.Thread(target=call, args=(place, due_ns), name="replay", daemon=True).start()
            in_flight += 1
        next_ns = graph.next_ns()
        longest_s = CTRL_C_S if next_ns is None else (next_ns - time.perf_counter_ns()) / 1e9
        if not in_flight:
            ending.wait(max(0.0, longest_s))
            continue
        try:
            place, error = answered.get(timeout=min(CTRL_C_S, max(1e-6, longest_s)))
        except Empty:
            continue
        in_flight -= 1
        if error is not None:
            raise error
        graph.answered(place, time.perf_counter_ns())


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


def drive_virtually(
    sessions: Sequence[Sequence[Due]],
    engine: VirtualTime,
    answered: Callable[[Request, Answer], None],
    *,
    concurrency: int = 1,
) -> None:
    """Send everything in virtual time; `answered` is called in the order of the answers."""
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
            engine.submit(request, at_ns)
