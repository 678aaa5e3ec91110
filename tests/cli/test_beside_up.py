"""Every command beside a `phasewise up` that receives spans: the right answer, and no lock."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import httpx
import pytest
from phasewise_store.store import Store
from phasewise_web.cli.main import main

from tests.cli.session_files import SESSION
from tests.cli.test_runs import written
from tests.cli.test_up import PROTOBUF, Up, send, until, up
from tests.collector.otlp_for_tests import Made, request
from tests.collector.test_dialects import OPENINFERENCE
from tests.replay.recorded import write_sessions
from tests.replay.test_run import SIMULATED


def phasewise(database: Path, *words: str) -> tuple[int, str, str]:
    """Run a command as a person does; give exit code, stdout and stderr."""
    command, *rest = words
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "phasewise_web.cli.main"),
            *(command, "--db", str(database), *rest),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


@contextmanager
def spans_coming(address: str) -> Iterator[list[int]]:
    """Send spans all the time; gives the list of those that were acknowledged."""
    stop = threading.Event()
    acknowledged: list[int] = []

    def send_on() -> None:
        with httpx.Client() as client:
            number = 1000
            while not stop.wait(0.02):
                many = [
                    Made(one, trace=one, attributes=OPENINFERENCE, start_ms=one)
                    for one in range(number, number + 10)
                ]
                body = request(*many).SerializeToString()
                if client.post(f"{address}/v1/traces", content=body, headers=PROTOBUF).is_success:
                    acknowledged.extend(range(number, number + 10))
                number += 10

    thread = threading.Thread(target=send_on)
    thread.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Give a database with recorded sessions."""
    path = tmp_path / "p.duckdb"
    with Store.own(path) as store:
        write_sessions(store)
    return path


def printed(database: Path, command: str, *words: str) -> str:
    """Run a command in this process, where nothing is imported anew; give what it prints."""
    with redirect_stdout(StringIO()) as out:
        assert main([command, "--db", str(database), *words]) == 0, command
    return out.getvalue()


def answers(database: Path, plan: str) -> dict[str, str]:
    """Run the commands that only read, and give what they print of the recorded sessions."""
    source = ("--json", "--source", "recorded")
    found = {
        command: printed(database, command, *source, *more)
        for command, *more in (
            ("agents",),
            ("sessions",),
            ("calls", "--limit", "5"),
            ("prefixes",),
            ("breaks",),
            ("ledger",),
        )
    }
    query = "SELECT count(*) AS calls FROM llm_calls WHERE source_id <> 'live'"
    found["sql"] = printed(database, "sql", "--json", query)
    replayed = json.loads(printed(database, "replay", plan, "--json"))
    found["replay"] = json.dumps(
        [(one["name"], one["arm"], one["verdict"]) for one in replayed["metrics"]]
    )
    judged = json.loads(printed(database, "nightly", plan, "--json"))
    found["nightly"] = str(judged["regressions"])
    return found


@pytest.mark.slow
def test_commands_answer_beside_up_as_they_do_without(tmp_path: Path, database: Path) -> None:
    """While spans come in, every command gives what it gives when the database is free."""
    plan = written(tmp_path, SIMULATED)
    free = answers(database, plan)
    with up(database) as running, spans_coming(running.otlp) as acknowledged:
        assert answers(database, plan) == free
        code, out, err = phasewise(database, "report", "run", "latest")
        assert (code, err) == (0, "")
        assert "Verdict" in out or "verdict" in out
        code, out, err = phasewise(database, "import", str(SESSION), "--json")
        assert code == 0, err
        code, out, err = phasewise(database, "sessions", "--json", "--source", "claude-code")
        assert [one["calls"] for one in json.loads(out)] == [2]
    with Store.own(database) as store:
        assert store.frame("SELECT count(*) FROM llm_calls WHERE source_id <> 'live'").item() > 10
        live = store.frame("SELECT count(*) AS n FROM llm_calls WHERE source_id = 'live'").item()
    assert live <= len(acknowledged)


@pytest.mark.slow
def test_two_imports_at_once_add_each_call_once(tmp_path: Path) -> None:
    """With an owner both go through it; without one, the second waits for the first."""
    for served in (True, False):
        database = tmp_path / f"{served}.duckdb"
        Store.own(database).close()
        with up(database) if served else Store.in_memory():
            imports = [
                subprocess.Popen(
                    [
                        *(sys.executable, "-m", "phasewise_web.cli.main", "import"),
                        *("--db", str(database), "--json", str(SESSION)),
                    ],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for _ in range(2)
            ]
            read = [json.loads(one.communicate()[0])["llm_calls"] for one in imports]
            assert sorted(read) == [0, 2]
            assert all(one.returncode == 0 for one in imports)


@pytest.mark.slow
def test_an_owner_that_dies_under_a_command_loses_nothing(tmp_path: Path, database: Path) -> None:
    """The next owner is there at once; a command that only reads goes on as if nothing was."""
    with up(database) as running:
        send(running.otlp, 1)
        with Store.open(database) as store:
            before = store.frame("SELECT count(*) AS n FROM llm_calls").item()
            kill_owner(running)
            assert store.frame("SELECT count(*) AS n FROM llm_calls").item() >= before
        until(lambda: httpx.get(f"{running.pages}/healthz").is_success)
        assert phasewise(database, "agents")[0] == 0


def kill_owner(running: Up) -> None:
    """Kill the process that owns the database, as nothing but a crash does."""
    children = f"/proc/{running.process.pid}/task/{running.process.pid}/children"
    for pid in Path(children).read_text().split():
        command = Path(f"/proc/{pid}/cmdline").read_text()
        if "phasewise_web.database_process" in command:
            subprocess.run(["kill", "-9", pid], check=True)
