"""Split off what fills the cache before anything is measured."""

from collections.abc import Sequence
from dataclasses import replace

from phasewise_replay.driving.due import Due


def warm_first(
    sessions: Sequence[Sequence[Due]], concurrency: int
) -> tuple[list[Sequence[Due]], list[Sequence[Due]]]:
    """Return the filling calls of the sessions that begin at once, and all that comes after them.

    No session is measured while these are in flight. A session that begins later fills the cache
    right before it, when it has its turn: done at the start, it could be evicted by then.
    """
    sessions = [session for session in sessions if session]
    filling: list[Sequence[Due]] = []
    left: list[Sequence[Due]] = []
    for session in sessions[:concurrency]:
        count = sum(due.request.warm for due in session)
        filling.append(session[:count])
        left.append([_without(due, count) for due in session[count:]])
    return filling, [*left, *sessions[concurrency:]]


def _without(due: Due, count: int) -> Due:
    """Return a call that waits for none of the first ones."""
    return replace(due, after=tuple(place - count for place in due.after if place >= count))
