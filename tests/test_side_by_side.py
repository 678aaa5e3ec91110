"""Tests that measure time have the machine for themselves."""

import threading
import time
from pathlib import Path

import pytest

from tests.side_by_side import arrange, share

PATIENCE_S = 30
A_WHILE_S = 0.2


def test_alone_waits_for_the_others_and_lets_no_more_in(tmp_path: Path) -> None:
    """It begins when the one inside has ended; who comes after it begins when it has ended."""
    order: list[str] = []
    waiting = threading.Event()

    def timed() -> None:
        waiting.set()
        with share(tmp_path) as room, room.alone():
            order.append("alone")

    def later() -> None:
        with share(tmp_path):
            order.append("later")

    with share(tmp_path):
        first = threading.Thread(target=timed)
        first.start()
        assert waiting.wait(PATIENCE_S)
        first.join(A_WHILE_S)  # it stands at the door now
        second = threading.Thread(target=later)
        second.start()
        second.join(A_WHILE_S)
        assert order == []
    first.join(PATIENCE_S)
    second.join(PATIENCE_S)
    assert order == ["alone", "later"]


def test_alone_for_a_block_waits_for_the_others_and_lets_no_more_in(tmp_path: Path) -> None:
    """Two tests that run beside each other: each gets its block alone, in turn."""
    inside: list[str] = []
    order: list[str] = []

    def test(name: str) -> None:
        with share(tmp_path) as room, room.alone():
            inside.append(name)
            order.append("".join(inside))
            time.sleep(A_WHILE_S)
            inside.remove(name)

    both = [threading.Thread(target=test, args=(name,)) for name in "ab"]
    with share(tmp_path):
        for one in both:
            one.start()
            one.join(A_WHILE_S)
        assert order == []
    for one in both:
        one.join(PATIENCE_S)
    assert sorted(order) == ["a", "b"]


def test_two_that_do_not_measure_run_at_once(tmp_path: Path) -> None:
    """Sharing does not exclude sharing."""
    with share(tmp_path), share(tmp_path):
        pass


def test_modules_stay_together_and_none_is_dropped(request: pytest.FixtureRequest) -> None:
    """Arranging keeps each module's tests together and drops none."""
    items = list(request.session.items)
    arranged = list(items)
    arrange(arranged)
    assert set(arranged) == set(items)
    modules = [item.nodeid.partition("::")[0] for item in arranged]
    runs = [name for name, before in zip(modules, [None, *modules], strict=False) if name != before]
    assert len(runs) == len(set(runs))
