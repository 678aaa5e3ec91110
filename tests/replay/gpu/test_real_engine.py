"""The same pack on real vLLM for CPU with the tiny model: imported, compared, and killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from phasewise_replay.gpu.results_import import import_results
from phasewise_replay.verdicts.compare import compare
from phasewise_store import runs
from phasewise_store.store import Store

from tests.real_server import (
    NO_WORKER_FLAG,
    NO_WORKER_VALUE,
    NO_WORKER_VARIABLES,
    ROOT,
    installed,
)
from tests.replay.gpu.plans import PLAN, command, packed

pytestmark = pytest.mark.engine

PYTHON, TINY = ROOT / ".engines" / "vllm" / "bin" / "python", ROOT / ".engines" / "tiny"


def processes(session: int) -> list[int]:
    """Return the processes of a session: the guard, the server and all that it started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z" and int(fields[3]) == session:
                found.append(int(entry.name))
    return found


def guard_of(runner: int) -> int:
    """Return the process that stands between the run and its server; it leads their session."""
    (child,) = Path(f"/proc/{runner}/task/{runner}/children").read_text().split()
    return int(child)


def test_a_pack_runs_on_real_vllm_and_is_compared(tmp_path: Path, store: Store) -> None:
    """Every call's cached tokens as predicted, a verdict that holds, and steps of their sizes."""
    installed(PYTHON, TINY)
    # each start of vLLM takes 15 s of CPU; the smoke test is tried with the stand-in
    text = PLAN.replace("arms: [prefix-caching]", "arms: []")
    text = text.replace("  cpu: {", f"  cpu: {{{NO_WORKER_FLAG}: {NO_WORKER_VALUE}, ")
    pack, results = packed(tmp_path, text), tmp_path / "results"
    done = subprocess.run(
        command(pack, results, "--engine", "cpu", "--budget", "400"),
        cwd=ROOT,
        env=os.environ | NO_WORKER_VARIABLES,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stderr)
    assert done.returncode == 0
    agents, steps = import_results(store, results)
    assert (agents.status, agents.blocks, agents.calls) == ("finished", 6, 144)
    rows = runs.measured(store, agents.run_id)
    assert rows["cached_tokens"].to_list() == rows["predicted_cached_tokens"].to_list()
    assert rows["cached_tokens"].sum() > 0
    verdict = compare(store, agents.run_id)
    assert verdict.fidelity.passed, [one for one in verdict.fidelity.checks if not one.passed]
    uncached = next(one for one in verdict.metrics if one.name == "uncached_tokens")
    assert uncached.verdict == "higher"  # prompts are too short here to hold a time to anything
    sizes = {
        row["call_id"]: row["input_tokens"] - row["cached_tokens"]
        for row in runs.measured(store, steps.run_id).iter_rows(named=True)
        if row["arm"] == "prefix-caching" and row["block"] == 0
    }
    assert sizes["prefill 512 #0.0"] == 512
    assert sizes["prefill 64 after 256 #0.1"] == 64


def test_a_kill_leaves_complete_blocks_and_no_process_of_the_engine(
    tmp_path: Path, store: Store
) -> None:
    """In the second block: the first one is imported, and vLLM and its engine core are gone.

    Signals that the run can catch are tried with the stand-in for an engine.
    """
    installed(PYTHON, TINY)
    text = PLAN.replace("arms: [prefix-caching]", "arms: []").replace("tokens: 8\n", "tokens: 32\n")
    pack, results = packed(tmp_path, text), tmp_path / "results"
    runner = subprocess.Popen(
        command(pack, results, "--engine", "cpu", "--budget", "300", "--stages", "agents"),
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 200
        while b'"block":1' not in (results.read_bytes() if results.exists() else b""):
            assert runner.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        session = guard_of(runner.pid)
        assert len(processes(session)) >= 3  # guard, server, engine core
        runner.kill()
        killed_s = time.monotonic()
        assert runner.wait(15) == -signal.SIGKILL
        while processes(session) and time.monotonic() < killed_s + 15:
            time.sleep(0.05)
        assert not processes(session)
    finally:
        runner.kill()
    (found,) = import_results(store, results)
    assert (found.status, found.blocks) == ("interrupted", 1)
    assert found.calls == 24
    assert not compare(store, found.run_id).fidelity.passed
