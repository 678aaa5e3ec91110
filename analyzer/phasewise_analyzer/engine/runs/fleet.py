"""Engines that serve one stream of calls in virtual time, behind a front and a router.

`Fleet` is what loops drive: calls are submitted, and `run` returns them as they finish, in order of
time, so that what one engine finishes may decide what another gets next. `RoutedEngines` are equal
engines that serve calls from prompt to last token; `disaggregation` has engines for one phase each.
"""

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from phasewise_analyzer.engine.runs.engine_run import EngineRun
from phasewise_analyzer.engine.runs.routers import RoundRobin, Router
from phasewise_analyzer.engine.schedulers.sequence import Sequence as Call
from phasewise_analyzer.engine.step_times.front import NO_FRONT, Front, FrontQueue


class Fleet(Protocol):
    """Engines with one clock."""

    @property
    def engines(self) -> Sequence[EngineRun]:
        """All engines."""
        ...

    def submit(self, call: Call) -> None:
        """Send a call at `request.arrival_s`: in order of time, and not before `run` got there."""
        ...

    def run(self, horizon_s: float = math.inf) -> list[Call]:
        """Run until calls finish, and return these; those returned next finished later.

        Returns an empty list once the horizon is reached, where the next call is due, or when
        nothing is left to do.
        """
        ...


class Arrivals:
    """Calls on their way to the engines, in order of time."""

    def __init__(self, front: Front) -> None:
        self._front = FrontQueue(front)
        self._coming: deque[Call] = deque()

    def send(self, call: Call) -> None:
        """Send a call at `request.arrival_s`, which becomes the time at which it has arrived."""
        passed_s = self._front.passed_s(call.request.arrival_s, call.request.input_tokens)
        call.request = replace(call.request, arrival_s=passed_s)
        self._coming.append(call)

    @property
    def next_s(self) -> float:
        """When the next one arrives; infinite where none is on its way."""
        return self._coming[0].request.arrival_s if self._coming else math.inf

    def take(self) -> Call:
        """Return the next one."""
        return self._coming.popleft()


class EnginesInTime:
    """Runs engines so that calls end in order of time, and none runs past what another may cause.

    Each engine says until when it ends no call. The one whose time is shortest runs, up to the next
    such time of the others: a jump stays a jump.
    """

    def __init__(self, engines: Sequence[EngineRun]) -> None:
        self._engines = engines
        self._ended: list[tuple[float, int, Call]] = []
        """a heap of calls that have ended and were not returned yet"""

    def run(self, horizon_s: float) -> list[Call]:
        """Run to the next call that ends, at the horizon at the latest."""
        if len(self._engines) == 1:
            return self._engines[0].run(horizon_s)
        while True:
            quiet = [engine.quiet_until_s for engine in self._engines]
            first_s = min(quiet)
            if self._ended and self._ended[0][0] <= min(first_s, horizon_s):
                return [heapq.heappop(self._ended)[2]]
            if first_s >= horizon_s:
                return []
            engine = self._engines[quiet.index(first_s)]
            if not engine.planned:
                # nothing can be submitted before its clock: all others are quiet until later
                engine.plan()
                continue
            quiet.remove(first_s)
            bound_s = min(horizon_s, *quiet, *(at for at, _, _ in self._ended[:1]))
            self._keep(engine.run(max(bound_s, math.nextafter(engine.now, math.inf))))

    def catch_up(self, engine: EngineRun, at_s: float) -> None:
        """Run an engine until its clock has reached a time, or nothing is left to do."""
        while ended := engine.run(at_s):
            self._keep(ended)

    def forget(self) -> None:
        """Return no call that has ended by now."""
        self._ended.clear()

    def _keep(self, ended: Sequence[Call]) -> None:
        for call in ended:
            heapq.heappush(self._ended, (call.served.last_s, call.index, call))


class RoutedEngines:
    """Equal engines behind a router (default: round robin)."""

    def __init__(
        self, engines: Sequence[EngineRun], *, router: Router | None = None, front: Front = NO_FRONT
    ) -> None:
        self.engines = engines
        self._router = router or RoundRobin()
        self._arrivals = Arrivals(front)
        self._time = EnginesInTime(engines)

    def submit(self, call: Call) -> None:
        """Send a call; see `Fleet.submit`."""
        self._arrivals.send(call)

    def run(self, horizon_s: float = math.inf) -> list[Call]:
        """Run until calls finish; see `Fleet.run`."""
        while True:
            coming_s = self._arrivals.next_s
            ended = self._time.run(min(horizon_s, coming_s))
            if ended or coming_s > horizon_s or math.isinf(coming_s):
                return ended
            give(self._arrivals.take(), self.engines, self._router, self._time)

    def drain(self) -> None:
        """Serve all that was submitted, where nothing is submitted later; returns nothing.

        The engines run one after another, and wait for each other only where the router looks.
        """
        while math.isfinite(self._arrivals.next_s):
            give(self._arrivals.take(), self.engines, self._router, self._time)
        for engine in self.engines:
            self._time.catch_up(engine, math.inf)
        self._time.forget()


def give(
    call: Call, engines: Sequence[EngineRun], router: Router, time: EnginesInTime
) -> EngineRun:
    """Hand a call to the engine that the router chooses, and return that.

    Steps that run when the call arrives are finished first.
    """
    at_s = call.request.arrival_s
    for engine in engines if router.looks else ():
        time.catch_up(engine, at_s)
    chosen = router.choose(engines, call)
    time.catch_up(chosen, at_s)
    chosen.submit(call)
    return chosen
