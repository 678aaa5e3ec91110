"""A server's process: it ends with whoever started it, however that ends."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from phasewise_replay.engines.server_process import ServerProcess

SERVER = """
import os, sys, time
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(60)
"""


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Return whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def started(note: Path) -> tuple[ServerProcess, int]:
    """Start a server that would stay for a minute; return its process id, too."""
    process = ServerProcess([sys.executable, "-c", SERVER, str(note)], {}, grace_s=5)
    until(lambda: note.exists() and note.read_text() != "")
    return process, int(note.read_text())


def child_of(parent: int) -> int:
    """Return the first child of this process that guards a server."""
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[-1])


def test_a_server_stops_when_told(tmp_path: Path) -> None:
    """Nothing of it is left afterwards; a second time does nothing."""
    process, pid = started(tmp_path / "pid")
    assert process.alive
    process.stop()
    process.stop()
    assert not lives(pid)


def test_a_server_that_ends_is_noticed(tmp_path: Path) -> None:
    """Its process is gone, so is its guard."""
    process, pid = started(tmp_path / "pid")
    os.kill(pid, signal.SIGKILL)
    assert process.exits_within(30)
    process.stop()


def test_a_server_does_not_outlive_a_child_of_the_replay_that_is_killed(tmp_path: Path) -> None:
    """As Ray does it: the child is killed, then the process whose pipe it had ends."""
    process, pid = started(tmp_path / "pid")
    guard = child_of(os.getpid())
    os.kill(guard, signal.SIGKILL)
    assert process.exits_within(30)
    assert lives(pid)
    process.stop()
    until(lambda: not lives(pid))
