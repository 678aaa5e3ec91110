"""A short run of the crash harness; `make chaos` is the long one."""

from pathlib import Path

import pytest

from tests.chaos import disk_full, flips, kills

pytestmark = pytest.mark.slow


def test_kill_9_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """Ten kills of acceptor, owner and both under load: every acked span is stored once."""
    found = kills.run(tmp_path, 10)
    assert found.acked["python http"] > 0
    assert found.acked["python grpc"] > 0
    assert (found.lost, found.doubled, found.unbalanced) == ([], 0, [])


def test_sigterm_loses_nothing(tmp_path: Path) -> None:
    """Stopped under load, twice: every acked span is in the database when it has ended."""
    found = kills.terminated(tmp_path, 2)
    assert sum(found.acked.values()) > 0
    assert (found.lost, found.doubled) == ([], 0)


def test_a_full_disk_loses_nothing_acked_and_recovers(tmp_path: Path) -> None:
    """503 with Retry-After while it is full, and on it goes when there is room."""
    try:
        found = disk_full.run(tmp_path)
    except disk_full.NoMountError as error:
        pytest.skip(f"needs the right to mount a tmpfs: {error}")
    assert set(found.refused) == {503}
    assert found.retry_after
    assert (found.lost, found.doubled, found.recovered) == (0, 0, True)


def test_flipped_bits_are_detected_or_harmless(tmp_path: Path) -> None:
    """Ninety damaged copies of log, database and write-ahead log."""
    ends = flips.run(tmp_path, 90)
    assert not [end for end in ends if "WRONG" in end]
    assert sum(ends.values()) == 90
