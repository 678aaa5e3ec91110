"""How tests share the machine when pytest-xdist runs several at once (`make check`).

Each module stays with one worker (`--dist loadfile`), so that what a module's tests share is made
once. Tests marked `timed` run while no other test does, in this run of pytest or in another of the
same checkout, since what they measure is time: their modules begin first, when no long test is
under way that everybody would have to wait for. Then come long modules, so that no worker is left
with them at the end.
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


@contextmanager
def share(folder: Path, *, alone: bool) -> Iterator[None]:
    """Hold the machine for a block: alone, or beside others that do not ask to be alone.

    Who wants to be alone waits at the door and lets nobody else in, so that it gets its turn.
    """
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    door = os.open(folder / "door.lock", os.O_RDWR | os.O_CREAT, 0o600)
    room = os.open(folder / "room.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(door, kind)
        fcntl.flock(room, kind)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
    finally:
        os.close(door)
        os.close(room)
