"""Which calls of a session waited for which: forks, spawns and joins of sub-agents.  Pure.

Read from who called and when. A call depends on

- the last call of its own agent that had ended when it began, or that its prompt continues,
- its parent's call that had ended last, if it is the first of a sub-agent (fork),
- the last call of each sub-agent that ended since its agent's previous call (join); one that ended
  later is not waited for (spawn).

Sub-agents of one parent do not wait for each other. Calls without times, or whose times contradict
their prompts, run in recorded order.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimedCall:
    """One call as it was recorded."""

    call_id: str
    agent: str | None
    parent: str | None
    """agent that started this one"""
    started_ns: int | None
    ended_ns: int | None
    continues: str | None = None
    """earlier call of the agent whose whole prompt is the start of this one's: it waited for that,
    also where coarse clocks let both overlap"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call stands in its session."""

    after: tuple[str, ...]
    """the calls that must have ended"""
    wait_ns: int
    """from the end of the last of them, or from the session's start, to its own start"""


def places(calls: Sequence[TimedCall]) -> list[Place]:
    """Return the place of each call of a session, in the given order."""
    if any(call.started_ns is None or call.ended_ns is None for call in calls):
        return _in_order(calls)
    # of calls of no length at one moment the given order decides, so that there is no circle
    order = sorted(range(len(calls)), key=lambda place: (_start(calls[place]), place))
    rank = {calls[place].call_id: number for number, place in enumerate(order)}
    by_id = {call.call_id: call for call in calls}
    if any(
        call.continues is not None and rank[call.continues] > rank[call.call_id] for call in calls
    ):
        return _in_order(calls)
    agents: dict[str | None, _Agent] = {}
    for call in calls:
        agents.setdefault(call.agent, _Agent(call.parent, [])).calls.append(call)
    for agent in agents.values():
        agent.calls.sort(key=lambda call: (_end(call), rank[call.call_id]))
    children: dict[str | None, list[_Agent]] = {}
    for name, agent in agents.items():
        if agent.parent != name:
            children.setdefault(agent.parent, []).append(agent)
    begin = min(map(_start, calls), default=0)
    found = []
    for call in calls:
        own = agents[call.agent].last(call, rank)
        if call.continues is not None:
            continued = by_id[call.continues]
            own = continued if own is None or _end(continued) > _end(own) else own
        before = _before(call, own, agents, children.get(call.agent, ()), rank=rank)
        end = max(map(_end, before), default=begin)
        found.append(Place(tuple(one.call_id for one in before), max(0, _start(call) - end)))
    return found


@dataclass(frozen=True, slots=True)
class _Agent:
    """One agent's calls, those that ended first at the front."""

    parent: str | None
    calls: list[TimedCall]

    def last(self, call: TimedCall, rank: Mapping[str, int]) -> TimedCall | None:
        """Return the one that ended last of those that had ended when `call` began."""
        place = bisect_right(self.calls, _start(call), key=_end)
        while place and rank[self.calls[place - 1].call_id] >= rank[call.call_id]:
            place -= 1
        return self.calls[place - 1] if place else None


def _before(
    call: TimedCall,
    own: TimedCall | None,
    agents: Mapping[str | None, _Agent],
    children: Sequence[_Agent],
    *,
    rank: Mapping[str, int],
) -> list[TimedCall]:
    """Return the calls that this one waited for; `own` is the one of its own agent."""
    found = [] if own is None else [own]
    if own is None and call.parent != call.agent and call.parent in agents:
        forked = agents[call.parent].last(call, rank)
        found += [] if forked is None else [forked]
    for child in () if call.agent is None else children:
        joined = child.last(call, rank)
        if joined is not None and (own is None or _end(joined) > _start(own)):
            found.append(joined)
    return found


def _in_order(calls: Sequence[TimedCall]) -> list[Place]:
    """Return a chain; waits are known where both times are."""
    found = []
    for place, call in enumerate(calls):
        if place == 0:
            found.append(Place((), 0))
            continue
        previous = calls[place - 1]
        known = call.started_ns is not None and previous.ended_ns is not None
        wait_ns = max(0, (call.started_ns or 0) - (previous.ended_ns or 0)) if known else 0
        found.append(Place((previous.call_id,), wait_ns))
    return found


def _start(call: TimedCall) -> int:
    return call.started_ns or 0


def _end(call: TimedCall) -> int:
    return call.ended_ns or 0
