"""How tests share the machine when pytest-xdist runs several at once (`make check`).

Each module stays with one worker (`--dist loadfile`), so that what a module's tests share is made
once. What measures time does so in a block `alone()`, while no other test runs, in this run of
pytest or in another of the same checkout. Everybody waits for that, so a test whose measurement is
seldom disturbed measures beside others first. Long modules begin first, so that no worker is left
with them at the end; last come those that always have to be alone, when nobody else has to wait.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ORDER = ("engine", "wheel", "slow", "browser", "frameworks")
"""marks, in the order in which their modules begin"""


def arrange(items: list[pytest.Item]) -> None:
    """Order the tests in place; each module's stay together."""
    ranks: dict[str, int] = {}
    for item in items:
        ranks[_module(item)] = min(_rank(item), ranks.get(_module(item), len(ORDER)))
    items.sort(key=lambda item: ranks[_module(item)])


def _module(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _rank(item: pytest.Item) -> int:
    marks = {mark.name for mark in item.iter_markers()}
    if "alone" in marks:
        return len(ORDER) - 1
    ranks = [place for place, name in enumerate(ORDER) if name in marks]
    return min(ranks, default=len(ORDER))


class Room:
    """This worker's place on the machine during a test: beside others, or alone."""

    def __init__(self, folder: Path) -> None:
        self._door = os.open(folder / "door.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._room = os.open(folder / "room.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._enter(fcntl.LOCK_SH)

    def _enter(self, kind: int) -> None:
        """Wait for the others; who wants to be alone waits at the door and lets nobody else in."""
        fcntl.flock(self._door, kind)
        fcntl.flock(self._room, kind)
        fcntl.flock(self._door, fcntl.LOCK_UN)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Leave those beside whom the test runs, and hold the machine for a block."""
        fcntl.flock(self._room, fcntl.LOCK_UN)  # two that both wait inside would wait for ever
        self._enter(fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_SH)

    def close(self) -> None:
        """Leave."""
        os.close(self._door)
        os.close(self._room)


@contextmanager
def share(folder: Path) -> Iterator[Room]:
    """Hold the machine for a block, beside others that do not ask to be alone."""
    room = Room(folder)
    try:
        yield room
    finally:
        room.close()
