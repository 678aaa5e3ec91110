"""A disk that is full, or an owner that dies, in the middle of an import: nothing lost or doubled.

The command says so in a sentence and exits with 1; run again, it adds what is missing.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from phasewise_store.store import Store

from tests.chaos.disk_full import NoMountError, enlarge, small_disk
from tests.cli.session_files import CALLS, write_sessions
from tests.cli.test_beside_up import kill_owner
from tests.cli.test_up import until, up
from tests.store.test_sharing import owned

pytestmark = pytest.mark.slow

SESSIONS = 40
MORE_SESSIONS = 120
"""an import that is not over when a busy machine first sees sessions of it"""
ROOM_KIB = 100_000
FULL = (
    "phasewise import: the disk is full. What was finished before is kept: free some space, then "
    "run the command again\n"
)
DIED = (
    "phasewise import: the process that owns `{database}` ended during this command; what was "
    "committed before is kept.  Run the command again\n"
)


def importing(database: Path, folder: Path) -> "subprocess.Popen[str]":
    """Start an import."""
    return subprocess.Popen(
        [*(sys.executable, "-m", "phasewise_web.cli.main", "import"), "--db", database, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for its end; give the exit code and what was said on stderr."""
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def counts(store: Store) -> tuple[int, int, int]:
    """Give the sessions, the calls and how many of them differ."""
    return store.frame(
        "SELECT count(DISTINCT session_id), count(*), count(DISTINCT response_id) FROM llm_calls"
    ).row(0)


def whole(sessions: int) -> tuple[int, int, int]:
    """Give the counts when every call of so many sessions is there, once."""
    return sessions, sessions * CALLS, sessions * CALLS


@contextmanager
def disk(tmp_path: Path, kib: int) -> Iterator[Path]:
    """Give a disk of so many KiB, or skip."""
    try:
        with small_disk(tmp_path / "disk", kib) as place:
            yield place
    except NoMountError as error:
        pytest.skip(f"needs the right to mount a tmpfs: {error}")


@pytest.mark.parametrize("kib", [4, 1500])
def test_a_full_disk_ends_an_import_with_a_sentence(tmp_path: Path, kib: int) -> None:
    """While the database is made and while it is filled; with room the import does the rest."""
    folder = write_sessions(tmp_path / "sessions", SESSIONS, letters=100_000)
    with disk(tmp_path, kib) as place:
        database = place / "x.duckdb"
        assert ended(importing(database, folder)) == (1, FULL)
        enlarge(place, ROOM_KIB)
        assert ended(importing(database, folder)) == (0, "")
        with Store.open(database) as store:
            assert counts(store) == whole(SESSIONS)


def test_a_full_disk_of_the_owner_ends_an_import_with_the_same_sentence(tmp_path: Path) -> None:
    """Beside `up`, which goes on, and takes the rest when there is room."""
    folder = write_sessions(tmp_path / "sessions", SESSIONS, letters=100_000)
    with disk(tmp_path, 1500) as place:
        database = place / "x.duckdb"
        with up(database):
            assert ended(importing(database, folder)) == (1, FULL)
            enlarge(place, ROOM_KIB)
            assert ended(importing(database, folder)) == (0, "")
            with Store.open(database) as store:
                assert store.is_shared
                assert counts(store) == whole(SESSIONS)


@pytest.mark.parametrize("by", ["a process", "up"])
def test_an_owner_that_dies_ends_an_import_with_a_sentence(tmp_path: Path, by: str) -> None:
    """Whole sessions are kept; the next import, through the next owner, adds the others."""
    folder = write_sessions(tmp_path / "sessions", MORE_SESSIONS)
    database = tmp_path / "x.duckdb"
    with owned(database) if by == "a process" else up(database) as owner:
        process = importing(database, folder)
        with Store.open(database) as store:
            until(lambda: counts(store)[0] > 3)
        if isinstance(owner, subprocess.Popen):
            owner.kill()
            owner.wait()
        else:
            kill_owner(owner)
        assert ended(process) == (1, DIED.format(database=database))
        if isinstance(owner, subprocess.Popen):
            with Store.open(database) as store:
                sessions, calls, _ = counts(store)
                assert 3 < sessions < MORE_SESSIONS
                assert calls == sessions * CALLS
        assert ended(importing(database, folder)) == (0, "")
        with Store.open(database) as store:
            assert counts(store) == whole(MORE_SESSIONS)
