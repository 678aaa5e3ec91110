"""Sessions whose calls wait for earlier ones, with a bound on how many run at once."""

import heapq
import itertools
import math
from collections.abc import Iterable
from collections.abc import Sequence as Sequences
from dataclasses import dataclass, replace

from phasewise_analyzer.engine.runs.engine_run import EngineRun
from phasewise_analyzer.engine.runs.fleet import Fleet, RoutedEngines
from phasewise_analyzer.engine.runs.routers import Router
from phasewise_analyzer.engine.runs.simulation import Outcome, refuse_oversized, sum_up
from phasewise_analyzer.engine.schedulers.request import Request, Served
from phasewise_analyzer.engine.schedulers.scheduler import EngineConfig
from phasewise_analyzer.engine.schedulers.sequence import Sequence
from phasewise_analyzer.engine.step_times.batch import StepTimes
from phasewise_analyzer.engine.step_times.front import NO_FRONT, Front


def simulate_sessions(
    sessions: Sequences[Sequences[Request]],
    times: StepTimes,
    config: EngineConfig,
    *,
    blocks: int | None,
    at_once: int,
    engines: int = 1,
    router: Router | None = None,
    front: Front = NO_FRONT,
) -> Outcome:
    """Serve sessions in their order on engines behind a router, so many sessions at once.

    Raises UsageError for a call that alone does not fit in the KV cache.  See `serve_sessions`.
    """
    refuse_oversized([call for session in sessions for call in session], config, blocks)
    runs = [EngineRun(times, config, blocks=blocks) for _ in range(engines)]
    fleet = RoutedEngines(runs, router=router, front=front)
    return sum_up(serve_sessions(sessions, fleet, at_once=at_once), runs)


def serve_sessions(
    sessions: Sequences[Sequences[Request]], fleet: Fleet, *, at_once: int
) -> list[Served]:
    """Serve sessions in their order, so many at once; results are in the order of the calls.

    `arrival_s` of a call is what passes between the end of the session's last call, or the start
    of the session, and this one: tools, thinking.
    """
    chains = [
        [SessionCall(call, (place - 1,) if place else ()) for place, call in enumerate(session)]
        for session in sessions
    ]
    return serve_graphs(chains, fleet, at_once=at_once)


@dataclass(frozen=True, slots=True)
class SessionCall:
    """One call of a session in which sub-agents may run beside each other."""

    request: Request
    """`arrival_s` is what passes between the end of what it waits for and this call"""
    after: tuple[int, ...]
    """the calls that must have ended, by their place in the session, where they come earlier"""


def serve_graphs(
    sessions: Sequences[Sequences[SessionCall]], fleet: Fleet, *, at_once: int
) -> list[Served]:
    """Serve sessions in their order, so many at once; results are in the order of the calls."""
    first = list(itertools.accumulate(map(len, sessions), initial=0))
    calls = [call for session in sessions for call in session]
    session_of = [at for at, session in enumerate(sessions) for _ in session]
    served = [Served(0.0) for _ in calls]
    pending = [len(call.after) for call in calls]
    """calls that each one still waits for"""
    waiting: list[list[int]] = [[] for _ in calls]
    """the calls that wait for each one"""
    for number, call in enumerate(calls):
        for place in call.after:
            waiting[first[session_of[number]] + place].append(number)
    left = [len(session) for session in sessions]
    coming = iter([at for at, session in enumerate(sessions) if session])
    due: list[tuple[float, int]] = []
    """when a call is sent, and its number"""

    def send(numbers: Iterable[int], now: float) -> None:
        for number in numbers:
            served[number].arrival_s = now + calls[number].request.arrival_s
            heapq.heappush(due, (served[number].arrival_s, number))

    def start_next(now: float) -> None:
        """Start the next session, if there is one."""
        at = next(coming, None)
        if at is not None:
            numbers = range(first[at], first[at + 1])
            send((number for number in numbers if not pending[number]), now)

    for _ in range(at_once):
        start_next(0.0)
    while True:
        ended = fleet.run(due[0][0] if due else math.inf)
        for one in ended:
            now = one.served.last_s
            left[session_of[one.index]] -= 1
            for number in waiting[one.index]:
                pending[number] -= 1
            send((number for number in waiting[one.index] if not pending[number]), now)
            if not left[session_of[one.index]]:
                start_next(now)
        if not ended and not due:
            return served
        if not ended:
            at_s, number = heapq.heappop(due)
            request = replace(calls[number].request, arrival_s=at_s)
            fleet.submit(Sequence(number, request, served[number], total=request.input_tokens))
