"""Replays against real vLLM and real SGLang on this CPU, with the tiny generated model."""

import pytest
from phasewise_replay import plan_file
from phasewise_replay.compare import compare
from phasewise_replay.run import run
from phasewise_store import runs
from phasewise_store.store import Store

from tests.real_server import NO_WORKER, SGLANG, TINY, VARIABLES, VLLM, installed

pytestmark = pytest.mark.engine


def run_one_arm(recorded: Store, settings: str) -> str:
    """Replay six calls a block on one vLLM with these settings; give the run's id."""
    installed(VLLM, TINY)
    text = f"""
name: one-arm
sessions: {{source: tau-bench, limit: 2, max_calls: 3}}
arms:
  - {{name: vllm, engine: vllm, model: {TINY}, python: {VLLM}, {settings}}}
"""
    return run(recorded, plan_file.parse(text, "plan"))


def test_an_arm_this_cpu_cannot_run_has_vllm_s_own_reason(recorded: Store) -> None:
    """A block of 16 tokens: UNSUPPORTED, in the engine's words."""
    run_id = run_one_arm(recorded, "flags: {max-model-len: 8192, block-size: 16}")
    (arm,) = runs.arms(recorded, run_id)
    assert arm.status == "unsupported"
    assert "block size" in (arm.reason or "").lower()


def test_n_gram_speculation_runs_and_forces_the_length(recorded: Store) -> None:
    """The preset's server starts, answers at the recorded length, and is stopped."""
    flags = "{max-model-len: 8192, num-gpu-blocks-override: 512}"
    run_id = run_one_arm(recorded, f"presets: [ngram-speculation], flags: {flags}")
    rows = runs.measured(recorded, run_id)
    assert rows.height == 24
    assert rows["output_tokens"].to_list() == rows["planned_output_tokens"].to_list()


def test_vllm_and_sglang_serve_the_same_sessions_and_are_compared(recorded: Store) -> None:
    """Both are started and stopped by the run: one table, and the settings in which they differ."""
    installed(VLLM, SGLANG, TINY)
    text = f"""
name: engines
sessions: {{source: tau-bench, limit: 6, max_calls: 3}}
order: once
arms:
  - name: vllm
    engine: vllm
    model: {TINY}
    python: {VLLM}
    flags: {{max-model-len: 8192, num-gpu-blocks-override: 512, {NO_WORKER}}}
    env: {VARIABLES}
  - name: sglang
    engine: sglang
    model: {TINY}
    python: {SGLANG}
    flags: {{context-length: 8192, chunked-prefill-size: 512}}
"""
    verdict = compare(recorded, run(recorded, plan_file.parse(text, "plan")))
    assert [(arm.engine, arm.status) for arm in verdict.arms] == [("vllm", "ok"), ("sglang", "ok")]
    failed = [check for check in verdict.fidelity.checks if not check.passed]
    assert {check.name for check in failed} <= {"send_lag"}, failed  # on a busy machine
    assert {metric.compared for metric in verdict.metrics} == {"sglang"}
    assert verdict.changed["sglang"]["most tokens in a step"][1] == 512
    assert verdict.changed["sglang"]["KV block, tokens"][0] == 32
