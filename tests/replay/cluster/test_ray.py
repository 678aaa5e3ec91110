"""A replay on a real Ray cluster: three workers with a fake GPU each, and stand-ins for vLLM."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import polars as pl
import pytest
from phasewise_store import runs
from phasewise_store.store import Store

from tests.replay.gpu.plans import STUB
from tests.replay.recorded import write_hashed_sessions

pytestmark = pytest.mark.slow

NODES = Path(__file__).parent / "ray_nodes.py"
WORKERS = 3
DELAY_MS = 40
"""of each request: 8 calls of a shard's block take a third of a second"""
PLAN = """
name: caching
sessions: {{source: recorded}}
warmup_calls: 2
send_lag_ms: 10000
arms:
  - {{name: without, engine: vllm, model: shape, python: {python},
      flags: {{enable-prefix-caching: false, seed: {delay}}}}}
  - {{name: with, engine: vllm, model: shape, python: {python},
      flags: {{enable-prefix-caching: true, seed: {delay}}}}}
"""


class Nodes:
    """The cluster; one worker can be killed."""

    def __init__(self, mark: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(NODES), str(WORKERS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(mark),
            text=True,
        )
        self.address = self._line()

    def kill_a_worker(self) -> None:
        """Kill a worker with all that runs on it."""
        assert self._process.stdin is not None
        self._process.stdin.write("kill\n")
        self._process.stdin.flush()
        assert self._line() == "killed"

    def stop(self) -> None:
        """End all nodes."""
        self._process.communicate(timeout=60)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def environment(mark: Path) -> Mapping[str, str]:
    """Return variables with which the stand-in is found as vLLM.

    `mark` marks the servers; a client that is gone is given up after a second, not after thirty.
    """
    packages = os.pathsep.join([str(STUB), *sys.path])
    ours = {"PYTHONPATH": packages, "MARK": str(mark), "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "1"}
    return {**os.environ, **ours}


def servers(mark: Path) -> set[int]:
    """Return the stand-ins that run for this test, without their guards."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
                environ = (entry / "environ").read_bytes()
            except OSError:
                continue
            served = b"api_server" in words and b"server_guard" not in words
            if served and str(mark).encode() in environ:
                found.add(int(entry.name))
    return found


def until(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def mark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of these tests."""
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def nodes(mark: Path) -> Iterator[Nodes]:
    """Start a head and three workers."""
    found = Nodes(mark)
    yield found
    found.stop()
    assert not servers(mark)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write six sessions and the plan."""
    with Store.open(tmp_path / "db") as store:
        write_hashed_sessions(store)
    (tmp_path / "plan.yaml").write_text(PLAN.format(python=sys.executable, delay=DELAY_MS))
    return tmp_path


def replay(folder: Path, mark: Path, *words: str) -> "subprocess.Popen[str]":
    """Start the command."""
    program = "import sys; from phasewise_web.cli.main import main; sys.exit(main())"
    plan, db = str(folder / "plan.yaml"), str(folder / "db")
    return subprocess.Popen(
        [sys.executable, "-c", program, "replay", plan, "--db", db, "--json", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(mark),
        text=True,
    )


def assert_whole(folder: Path, process: "subprocess.Popen[str]") -> None:
    """Check that every call of every block was counted once, and that the verdict is of all."""
    out, err = process.communicate(timeout=300)
    verdict = json.loads(out)
    failed = [check for check in verdict["fidelity"]["checks"] if not check["passed"]]
    assert not failed, err
    assert process.returncode == 0
    assert (verdict["status"], verdict["sessions"], verdict["calls"]) == ("finished", 6, 24)
    assert [arm["status"] for arm in verdict["arms"]] == ["ok", "ok"]
    with Store.open(folder / "db") as store:
        assert len(runs.runs(store)) == 1
        calls = runs.measured(store, verdict["run_id"])
    # six blocks of each of three shards, eight calls in each
    assert calls.select("arm", "block", "call_id").n_unique() == calls.height == 6 * 24
    assert calls.group_by("arm", "block").len()["len"].to_list() == [8] * 18
    prefill = calls.group_by("arm", maintain_order=True).agg(pl.col("prefill_ns").mean())
    assert prefill["prefill_ns"].to_list() == [1_600_000.0, 640_000.0]


def test_a_killed_worker_costs_time_and_no_call(nodes: Nodes, folder: Path, mark: Path) -> None:
    """Three shards on three workers, one of which dies: its shard goes on, on another one."""
    process = replay(folder, mark, "--cluster", nodes.address)
    until(lambda: len(servers(mark)) == 3)
    nodes.kill_a_worker()
    assert_whole(folder, process)


def test_a_killed_run_goes_on(nodes: Nodes, folder: Path, mark: Path) -> None:
    """`kill -9` once something is stored; `--resume` does the rest. Two workers, three shards."""
    process = replay(folder, mark, "--cluster", nodes.address, "--shards", "3")

    seen: set[int] = set()

    def one_visit_is_stored() -> bool:
        """Tell by a shard's next engine, which starts when what was measured before is stored."""
        seen.update(servers(mark))
        return len(seen) > WORKERS - 1

    until(one_visit_is_stored)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert_whole(folder, replay(folder, mark, "--cluster", nodes.address, "--resume"))


def test_ctrl_c_stops_all_engines_and_says_how_to_go_on(
    nodes: Nodes, folder: Path, mark: Path
) -> None:
    """No server is left on any node."""
    process = replay(folder, mark, "--cluster", nodes.address)
    until(lambda: len(servers(mark)) == 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    until(lambda: not servers(mark))
    with Store.open(folder / "db") as store:
        assert [run.status for run in runs.runs(store)] == ["interrupted"]


def test_no_cluster_is_said(folder: Path, mark: Path) -> None:
    """The address is named, and how to start one."""
    process = replay(folder, mark, "--cluster", "ray://127.0.0.1:9")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "no Ray cluster answers at `ray://127.0.0.1:9`" in err
    assert "Traceback" not in err
