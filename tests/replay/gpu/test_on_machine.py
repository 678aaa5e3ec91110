"""A pack's run in a process of its own: complete, out of time, killed, and with fallbacks."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from phasewise_replay.gpu.results_import import import_results
from phasewise_replay.verdicts.compare import compare
from phasewise_store import runs
from phasewise_store.store import Store

from tests.replay.gpu.plans import PLAN, STUB, command, environment, packed, run
from tests.replay.recorded import write_hashed_sessions

pytestmark = pytest.mark.slow

SLOW = PLAN.replace("seed: 1", "seed: 60")
"""24 calls per block: 1.5 s"""


def servers(results: Path) -> list[int]:
    """Return the stand-ins that run for this test; `environment` marks them."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environ = (entry / "environ").read_bytes()
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"api_server" in words and str(results).encode() in environ:
                found.append(int(entry.name))
    return found


@pytest.fixture
def started(tmp_path: Path) -> "subprocess.Popen[bytes]":
    """Start a long run, and wait until its second block is in progress."""
    pack, results = packed(tmp_path, SLOW), tmp_path / "results"
    process = subprocess.Popen(
        command(pack, results, "--stages", "agents"),
        env=environment(results),
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if results.exists() and results.read_bytes().count(b'"block":1') > 0:
            return process
        time.sleep(0.02)
    process.kill()
    pytest.fail("the second block did not begin")


def test_a_pack_runs_and_its_results_are_ordinary_runs(tmp_path: Path, store: Store) -> None:
    """Both stages on both arms; cached tokens as predicted; caching saves tokens."""
    done = run(packed(tmp_path), tmp_path / "results")
    assert done.returncode == 0, done.stderr
    agents, steps = import_results(store, tmp_path / "results")
    assert (agents.status, agents.calls, agents.blocks, agents.cut_calls) == ("finished", 144, 6, 0)
    assert agents.notes == ("left out: 288 output tokens of 24 calls above 8 each",)
    rows = runs.measured(store, agents.run_id)
    assert rows["cached_tokens"].to_list() == rows["predicted_cached_tokens"].to_list()
    verdict = compare(store, agents.run_id)
    assert verdict.fidelity.passed, [one for one in verdict.fidelity.checks if not one.passed]
    uncached = next(one for one in verdict.metrics if one.name == "uncached_tokens")
    assert uncached.verdict == "higher"
    assert verdict.arms[0].model == "shape"
    assert steps.calls == (2 + 2 + 2) * 6


def test_designed_steps_compute_what_they_say(tmp_path: Path, store: Store) -> None:
    """Uncached tokens of each step: the prompt, or what is new after the cached part."""
    assert run(packed(tmp_path), tmp_path / "results", "--stages", "steps").returncode == 0
    (steps,) = import_results(store, tmp_path / "results")
    rows = runs.measured(store, steps.run_id)
    first = rows.filter((rows["arm"] == "prefix-caching") & (rows["block"] == 0))
    computed = {
        row["call_id"]: row["input_tokens"] - row["cached_tokens"]
        for row in first.iter_rows(named=True)
    }
    assert computed == {
        "prefill 64 #0.0": 64,
        "prefill 512 #0.0": 512,
        "prefill 64 after 256 #0.0": 256,
        "prefill 64 after 256 #0.1": 64,
        "decode 128 batch 1 contexts.0": 128,
        "decode 128 batch 1 #0.0": 16,
    }


def ended_after_s(pack: Path, results: Path) -> float:
    """Run a pack with a budget of nine seconds; give how long it took."""
    done = run(pack, results, "--budget", "9", "--stages", "agents")
    assert done.returncode == 0, done.stderr
    end = json.loads(results.read_bytes().splitlines()[-1])
    assert end["status"] == "budget"
    assert not servers(results)
    return float(end["seconds"])


def test_the_budget_is_kept_to_the_second(
    tmp_path: Path, store: Store, alone: Callable[[], AbstractContextManager[None]]
) -> None:
    """Six seconds of work for half a minute: it ends in time, and what is complete is imported.

    Other tests can keep a block from the processor, and the run with it: then once more, alone.
    """
    pack, results = packed(tmp_path, SLOW), tmp_path / "results"
    seconds = ended_after_s(pack, results)
    if not 6 <= seconds <= 9:
        results.unlink()
        with alone():
            seconds = ended_after_s(pack, results)
    assert 6 <= seconds <= 9
    (found,) = import_results(store, results)
    assert found.status == "finished"
    assert 0 < found.calls == 24 * found.blocks


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_kill_leaves_complete_blocks_and_no_server(
    started: "subprocess.Popen[bytes]", tmp_path: Path, store: Store, number: signal.Signals
) -> None:
    """Whatever ends the run: the first block is there, the cut one is not, and no server runs."""
    results = tmp_path / "results"
    assert servers(results)
    os.kill(started.pid, number)
    expected = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
    assert started.wait(10) == expected[number]
    deadline = time.monotonic() + 10
    while servers(results) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not servers(results)
    (found,) = import_results(store, results)
    assert found.status == "interrupted"
    assert found.calls == 24 * found.blocks
    verdict = compare(store, found.run_id)
    assert verdict.fidelity.checks[0].name == "finished"
    assert not verdict.fidelity.passed


def test_fallbacks_apply_to_all_arms_and_an_arm_beyond_them_is_unsupported(
    tmp_path: Path, store: Store
) -> None:
    """fp8 weights need another backend, so every arm gets it; an fp8 KV cache never works."""
    text = PLAN.replace("  arms: [prefix-caching]\n", SMOKE).replace("smoke:\n", MORE_ARMS)
    done = run(packed(tmp_path, text), tmp_path / "results", "--stages", "agents")
    assert done.returncode == 0, done.stderr
    (found,) = import_results(store, tmp_path / "results")
    arms = {arm.arm: arm for arm in runs.arms(store, found.run_id)}
    backends = {
        name: json.loads(arm.config)["flags"].get("attention-backend") for name, arm in arms.items()
    }
    assert backends == dict.fromkeys(arms, "TRITON_ATTN")
    assert arms["fp8-weights"].status == "ok"
    assert arms["fp8-kv"].status == "unsupported"
    assert arms["fp8-kv"].reason == "this engine has no fp8 KV cache"
    assert any("fallbacks" in note for note in found.notes)


def test_a_replay_that_is_killed_is_resumed(tmp_path: Path) -> None:
    """Kill -9 of `phasewise replay` in its second block: afterwards every call is there once."""
    database, results = tmp_path / "p.duckdb", tmp_path / "results"
    with Store.open(database) as store:
        write_hashed_sessions(store)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"vocab_size": 8192}')
    arm = f"engine: vllm, model: {model}, flags: {{seed: 60, max-model-len: 32768}}"
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "name: cut\nsessions: {source: recorded}\norder: once\nwarmup_calls: 0\n"
        "send_lag_ms: 10000\narms:\n"
        f"  - {{name: on, {arm}, presets: [prefix-caching-on]}}\n"
        f"  - {{name: off, {arm}, presets: [prefix-caching-off]}}\n"
    )
    words = [sys.executable, "-m", "phasewise_web.cli.main", "replay", str(plan), "--json"]
    words += ["--db", str(database)]
    process = subprocess.Popen(
        words, env=environment(results), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not servers(results):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(3.0)  # a block takes 1.5 s
    process.kill()
    process.wait()
    done = subprocess.run(
        [*words, "--resume"],
        env=environment(results),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["fidelity"]["passed"], verdict["fidelity"]
    with Store.open(database) as store:
        (found,) = runs.runs(store)
        rows = runs.measured(store, found.run_id)
    assert (found.status, rows.height) == ("finished", 6 * 24)
    assert rows.select("arm", "block", "call_id").n_unique() == rows.height
    assert not servers(results)


MORE_ARMS = """
  fp8-weights: {enable-prefix-caching: true, quantization: fp8}
  fp8-kv: {enable-prefix-caching: true, kv-cache-dtype: fp8}
smoke:
"""
SMOKE = """
  arms: [prefix-caching, fp8-weights, fp8-kv]
  fallbacks:
    - flags: {attention-backend: TRITON_ATTN}
"""


def test_wrong_names_and_files_say_what_is_right(tmp_path: Path) -> None:
    """An unknown arm, a file that is no pack, results that exist: exit 2 and the reason."""
    pack, results = packed(tmp_path), tmp_path / "results"
    unknown = run(pack, results, "--arms", "nothing")
    assert (unknown.returncode, unknown.stderr) == (
        2,
        "no arm `nothing` in the pack; it has prefix-caching, no-prefix-caching\n",
    )
    no_pack = run(STUB / "vllm" / "__init__.py", results)
    assert no_pack.returncode == 2
    assert "phasewise gpu pack" in no_pack.stderr
    results.write_text("here already")
    again = run(pack, results)
    assert again.returncode == 2
    assert "exists already" in again.stderr
