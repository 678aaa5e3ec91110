"""A request of a session, and what it waits for."""

from dataclasses import dataclass

from phasewise_replay.engine import Request


@dataclass(frozen=True, slots=True)
class Due:
    """One request, what it waits for, and how long after that it is sent."""

    request: Request
    wait_ns: int
    after: tuple[int, ...]
    """places in the session of the calls that must have been answered; none at its start"""
