"""How tests share the machine when pytest-xdist runs several at once (`make check`).

Each module stays with one worker (`--dist loadfile`), so that what a module's tests share is made
once. Tests marked `timed` run while no other test does, in this run of pytest or in another of the
same checkout, since what they measure is time: their modules begin first, when no long test is
under way that everybody would have to wait for. Then come long modules, so that no worker is left
with them at the end. A test whose measurement is seldom disturbed measures beside others first, and
again in a block `alone()` where it was.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FIRST = ("timed", "engine", "frameworks", "wheel", "slow", "browser")
"""marks, in the order in which their modules begin"""


def arrange(items: list[pytest.Item]) -> None:
    """Order the tests in place; each module's stay together."""
    ranks: dict[str, int] = {}
    for item in items:
        ranks[_module(item)] = min(_rank(item), ranks.get(_module(item), len(FIRST)))
    items.sort(key=lambda item: ranks[_module(item)])


def _module(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _rank(item: pytest.Item) -> int:
    marks = {mark.name for mark in item.iter_markers()}
    ranks = [place for place, name in enumerate(FIRST) if name in marks]
    return min(ranks, default=len(FIRST))


class Room:
    """This worker's place on the machine during a test: beside others, or alone."""

    def __init__(self, folder: Path) -> None:
        self._door = os.open(folder / "door.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._room = os.open(folder / "room.lock", os.O_RDWR | os.O_CREAT, 0o600)

    def enter(self, kind: int) -> None:
        """Wait for the others; who wants to be alone waits at the door and lets nobody else in."""
        fcntl.flock(self._door, kind)
        fcntl.flock(self._room, kind)
        fcntl.flock(self._door, fcntl.LOCK_UN)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Leave those beside whom the test runs, and hold the machine for a block."""
        fcntl.flock(self._room, fcntl.LOCK_UN)  # two that both wait inside would wait for ever
        self.enter(fcntl.LOCK_EX)
        yield
        fcntl.flock(self._room, fcntl.LOCK_SH)

    def close(self) -> None:
        """Leave."""
        os.close(self._door)
        os.close(self._room)


@contextmanager
def share(folder: Path, *, alone: bool) -> Iterator[Room]:
    """Hold the machine for a block: alone, or beside others that do not ask to be alone."""
    room = Room(folder)
    try:
        room.enter(fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield room
    finally:
        room.close()
