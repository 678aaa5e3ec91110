"""The critical path of a session.  Pure.

It goes back from the last answer, from each call to the one whose answer it followed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phasewise_replay.verdicts.service_facts import CriticalPath


@dataclass(frozen=True, slots=True)
class PathCall:
    """A measured call of a session."""

    call_id: str
    waited_for: str | None
    sent_ns: int
    ended_ns: int
    queue_ns: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A call on the path, with the wait before it."""

    call_id: str
    path: CriticalPath


def pieces(calls: Sequence[PathCall]) -> list[Piece]:
    """Return the path of one session in one block; its parts sum to the session's time.

    The wait before its first call counts from when the session began.
    """
    known: Mapping[str, PathCall] = {call.call_id: call for call in calls}
    begin_ns = min(call.sent_ns for call in calls)
    call: PathCall | None = max(calls, key=lambda one: one.ended_ns)
    found: list[Piece] = []
    while call is not None:
        # a call that filled the cache before the session is no part of it
        before = known.get(call.waited_for) if call.waited_for is not None else None
        ready_ns = begin_ns if before is None else before.ended_ns
        tool_ns = max(0, call.sent_ns - ready_ns)
        served_ns = call.ended_ns - max(call.sent_ns, ready_ns)
        queue_ns = min(call.queue_ns, served_ns)
        model_ns = served_ns - queue_ns
        path = CriticalPath(model_ns / 1e9, queue_ns / 1e9, tool_ns / 1e9)
        found.append(Piece(call.call_id, path))
        call = before
    return found[::-1]


def added(paths: Sequence[CriticalPath], *, divisor: float = 1.0) -> CriticalPath:
    """Return the sum of paths, divided."""
    return CriticalPath(
        sum(path.model_s for path in paths) / divisor,
        sum(path.queue_s for path in paths) / divisor,
        sum(path.tool_s for path in paths) / divisor,
    )
