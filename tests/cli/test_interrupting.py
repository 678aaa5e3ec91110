"""Ctrl-C in the middle of a long command: a word, exit code 130, and a database that is whole."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from phasewise_store import reads, runs
from phasewise_store.store import Store

from tests.cli.test_up import until
from tests.replay.recorded import write_sessions
from tests.replay.strict_server import strict_server
from tests.replay.test_run import SIMULATED
from tests.store.test_sharing import owned

COMMAND = (sys.executable, "-m", "phasewise_web.cli.main")


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.5, 1.5, 2.5])
def test_an_import_that_is_interrupted_keeps_whole_files(
    tmp_path: Path, shared_traces: Path, after_s: float
) -> None:
    """No traceback, whatever was at work; what is stored can be read."""
    database = tmp_path / "x.duckdb"
    command = [*COMMAND, "import", "--db", str(database)]
    with subprocess.Popen(
        [*command, str(shared_traces)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as importing:
        until(database.exists)
        time.sleep(after_s)  # somewhere in the half minute that the import takes
        importing.send_signal(signal.SIGINT)
        _, said = importing.communicate(timeout=60)
    assert importing.returncode == 130
    assert "Traceback" not in said
    assert said.endswith("phasewise import: interrupted\n")
    with Store.open(database) as store:
        reads.llm_calls(store)


@pytest.mark.parametrize("command", ["replay", "nightly"])
def test_a_simulated_replay_that_is_interrupted_keeps_its_calls(
    tmp_path: Path, command: str
) -> None:
    """Beside the owner of the database, which shows when the first calls are measured."""
    database = tmp_path / "x.duckdb"
    with Store.own(database) as store:
        write_sessions(store, sessions=60, steps=8)
    with owned(database), Store.open(database) as store:
        replaying = started(tmp_path, command, database, SIMULATED)
        until(lambda: bool(store.frame("SELECT count(*) FROM measured_calls").item()))
        interrupted(replaying, command)
        (run,) = runs.runs(store)
        assert (run.status, run.detail) == ("interrupted", "stopped by the user")
        assert 0 < runs.measured(store, run.run_id).height < 6 * 60 * 8
        assert reads.llm_calls(store).height == 60 * 8


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_replay_is_interrupted_while_the_server_is_silent(
    tmp_path: Path, concurrency: int
) -> None:
    """No answer is waited for; what was measured before is kept."""
    database = tmp_path / "x.duckdb"
    with Store.own(database) as store:
        write_sessions(store)
    with strict_server(silent_behind=9) as server:
        arms = f"arms:\n  - {{name: a, engine: url, url: '{server.url}'}}\n"
        plan = f"name: silent\nwarmup_calls: 0\nconcurrency: {concurrency}\n{arms}"
        replaying = started(tmp_path, "replay", database, plan)
        until(lambda: len(server.bodies) == 9 + concurrency)
        interrupted(replaying, "replay")
    with Store.open(database) as store:
        (run,) = runs.runs(store)
        assert run.status == "interrupted"
        assert runs.measured(store, run.run_id).height == 7  # of nine answers, two were canaries


def started(folder: Path, command: str, database: Path, plan: str) -> "subprocess.Popen[str]":
    """Start a command on a plan."""
    path = folder / "plan.yaml"
    path.write_text(plan)
    return subprocess.Popen(
        [*COMMAND, command, "--db", str(database), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted(process: "subprocess.Popen[str]", command: str) -> None:
    """Send Ctrl-C; hold what is said, and the exit code."""
    process.send_signal(signal.SIGINT)
    try:
        printed, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, printed) == (130, ""), said
    assert said == f"phasewise {command}: interrupted\n"
