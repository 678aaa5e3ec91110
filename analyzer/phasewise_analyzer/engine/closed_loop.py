"""Sessions whose next call waits for the last one, with a bound on how many run at once."""

import heapq
import math
from collections.abc import Sequence as Sequences
from dataclasses import replace

from phasewise_analyzer.engine.batch import StepTimes
from phasewise_analyzer.engine.engine_run import EngineRun
from phasewise_analyzer.engine.fleet import Fleet, RoutedEngines
from phasewise_analyzer.engine.front import NO_FRONT, Front
from phasewise_analyzer.engine.request import Request, Served
from phasewise_analyzer.engine.routers import Router
from phasewise_analyzer.engine.scheduler import EngineConfig
from phasewise_analyzer.engine.sequence import Sequence
from phasewise_analyzer.engine.simulation import Outcome, refuse_oversized, sum_up


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
    calls = [(at, call) for at, session in enumerate(sessions) for call in session]
    served = [Served(0.0) for _ in calls]
    ahead: list[list[int]] = [[] for _ in sessions]
    for number, (session, _) in reversed(list(enumerate(calls))):
        ahead[session].append(number)
    coming = iter([waiting for waiting in ahead if waiting])
    due: list[tuple[float, int]] = []
    """when a call is sent, and its number"""

    def send_next(waiting: list[int], now: float) -> None:
        """Plan the next call of a session, or of the next session where this one has ended."""
        if not waiting:
            waiting = next(coming, [])
        if waiting:
            number = waiting.pop()
            served[number].arrival_s = now + calls[number][1].arrival_s
            heapq.heappush(due, (served[number].arrival_s, number))

    for _ in range(at_once):
        send_next([], 0.0)
    while True:
        ended = fleet.run(due[0][0] if due else math.inf)
        for one in ended:
            send_next(ahead[calls[one.index][0]], one.served.last_s)
        if not ended and not due:
            return served
        if not ended:
            at_s, number = heapq.heappop(due)
            call = replace(calls[number][1], arrival_s=at_s)
            fleet.submit(Sequence(number, call, served[number], total=call.input_tokens))
