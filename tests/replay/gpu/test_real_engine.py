"""The same pack on real vLLM for CPU with the tiny model: pack, run, import, compare."""

import subprocess
import sys
from pathlib import Path

import pytest
from phasewise_replay.compare import compare
from phasewise_replay.gpu.results_import import import_results
from phasewise_store import runs
from phasewise_store.store import Store

from tests.real_server import ROOT, installed
from tests.replay.gpu.plans import PLAN, command, packed

pytestmark = pytest.mark.engine


def test_a_pack_runs_on_real_vllm_and_is_compared(tmp_path: Path, store: Store) -> None:
    """Every call's cached tokens as predicted, a verdict that holds, and steps of their sizes."""
    installed(ROOT / ".engines" / "vllm" / "bin" / "python", ROOT / ".engines" / "tiny")
    # each start of vLLM takes 15 s of CPU; the smoke test is tried with the stand-in
    text = PLAN.replace("arms: [prefix-caching]", "arms: []")
    pack, results = packed(tmp_path, text), tmp_path / "results"
    done = subprocess.run(
        command(pack, results, "--engine", "cpu", "--budget", "400"),
        cwd=ROOT,
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
