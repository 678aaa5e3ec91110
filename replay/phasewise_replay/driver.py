"""Run sessions against an engine: calls of a session in order, several sessions concurrently.

Closed loop: a call is sent when the previous one was answered and its tool time has passed. `drive`
does this in real time; `drive_virtually` advances a virtual clock instead, for an engine that only
computes how long a call would take.
"""

import contextlib
import heapq
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from phasewise_replay.engine import Answer, Request

Serve = Callable[[Request, int, int | None], Answer]
"""sends a request that is `lag_ns` late, at a virtual time or (None) now"""

CTRL_C_S = 0.2
"""until Ctrl-C is seen while all workers wait for answers"""


@dataclass(frozen=True, slots=True)
class Due:
    """One request, and how long after the previous answer it is sent."""

    request: Request
    wait_ns: int


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
    due_ns = time.perf_counter_ns()  # a session starts when a worker is free, so it is never late
    for step in session:
        due_ns += step.wait_ns
        if ending.wait(max(0, due_ns - time.perf_counter_ns()) / 1e9):
            return
        serve(step.request, time.perf_counter_ns() - due_ns, None)
        due_ns = time.perf_counter_ns()


def drive_virtually(
    sessions: Sequence[Sequence[Due]], serve: Serve, *, start_ns: int, concurrency: int = 1
) -> None:
    """Send everything in the order of a virtual clock that jumps from event to event."""
    left = iter(enumerate(sessions))
    # (time, session, step): equal times go by session, so that a run repeats exactly
    ready: list[tuple[int, int, int]] = []

    def begin(now_ns: int) -> None:
        while (found := next(left, None)) is not None:
            number, session = found
            if session:
                heapq.heappush(ready, (now_ns + session[0].wait_ns, number, 0))
                return

    for _ in range(concurrency):
        begin(start_ns)
    while ready:
        now_ns, number, place = heapq.heappop(ready)
        session = sessions[number]
        answered_ns = now_ns + serve(session[place].request, 0, now_ns).duration_ns
        if place + 1 < len(session):
            due_ns = answered_ns + session[place + 1].wait_ns
            heapq.heappush(ready, (due_ns, number, place + 1))
        else:
            begin(answered_ns)
