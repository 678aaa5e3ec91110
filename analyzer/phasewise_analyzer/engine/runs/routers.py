"""Routers in front of several engines: which one serves a request that arrives."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.runs.engine_run import EngineRun
from phasewise_analyzer.engine.schedulers.sequence import Sequence as Call


class Router(Protocol):
    """Chooses an engine."""

    looks: bool
    """whether it looks at the engines: their clocks have reached the call's arrival then"""

    def choose(self, engines: Sequence[EngineRun], call: Call) -> EngineRun:
        """Return the engine that serves a call."""
        ...


class RoundRobin:
    """Deals calls out in turn."""

    looks = False

    def __init__(self) -> None:
        self._next = 0

    def choose(self, engines: Sequence[EngineRun], call: Call) -> EngineRun:
        """Return the next engine."""
        del call
        self._next += 1
        return engines[(self._next - 1) % len(engines)]


class LeastLoaded:
    """Sends a call to the engine with the fewest requests in flight; ties are dealt in turn."""

    looks = True

    def __init__(self) -> None:
        self._ties = RoundRobin()

    def choose(self, engines: Sequence[EngineRun], call: Call) -> EngineRun:
        """Return an engine."""
        loads = [engine.in_flight(call.request.arrival_s) for engine in engines]
        idlest = [engine for engine, load in zip(engines, loads, strict=True) if load == min(loads)]
        return self._ties.choose(idlest, call)


class PrefixAware:
    """Weighs cached prefixes against load, as Dynamo's KV router does.

    cost = blocks of the prompt that are not cached + blocks in use and queued, the lowest wins.
    """

    looks = True

    def __init__(self) -> None:
        self._ties = LeastLoaded()

    def choose(self, engines: Sequence[EngineRun], call: Call) -> EngineRun:
        """Return an engine."""
        costs = [engine.blocks_in_use() - engine.cached_blocks(call) for engine in engines]
        best = [engine for engine, cost in zip(engines, costs, strict=True) if cost == min(costs)]
        return self._ties.choose(best, call)


ROUTERS: Mapping[str, type[RoundRobin | LeastLoaded | PrefixAware]] = {
    "round-robin": RoundRobin,
    "least-loaded": LeastLoaded,
    "prefix-aware": PrefixAware,
}


def named(name: str) -> Router:
    """Return a router by name; raises UsageError where there is none."""
    if name not in ROUTERS:
        raise UsageError(f"unknown router `{name}`; known: {', '.join(ROUTERS)}")
    return ROUTERS[name]()
