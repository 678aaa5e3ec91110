"""Replays against real vLLM and real SGLang on this CPU, with the tiny generated model."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import orjson
import polars as pl
import pytest
from phasewise_collector.importing import import_paths
from phasewise_replay import plan_file
from phasewise_replay.compare import compare
from phasewise_replay.run import run
from phasewise_replay.verdict import Metric, Verdict
from phasewise_store import runs
from phasewise_store.store import Store

from tests.real_server import (
    NO_WORKER_FLAG,
    NO_WORKER_VALUE,
    NO_WORKER_VARIABLES,
    ROOT,
    installed,
)

TINY = ROOT / ".engines" / "tiny"
VLLM = ROOT / ".engines" / "vllm" / "bin" / "python"
SGLANG = ROOT / ".engines" / "sglang" / "bin" / "python"

pytestmark = pytest.mark.engine

SESSIONS, MOST_CALLS = 8, 7
"""over fifty calls per block, sent one after another; test_real_caches.py sends hundreds"""
ANSWER_LETTERS, OTHER_LETTERS = 60, 1200
"""that are left of a recorded text: a prefill of all of it takes a tenth of a second here"""

NO_WORKER = f"{NO_WORKER_FLAG}: {NO_WORKER_VALUE}"
VARIABLES = orjson.dumps(NO_WORKER_VARIABLES).decode()

CACHING = f"""
name: caching
sessions: {{source: tau-bench, limit: {SESSIONS}, max_calls: {MOST_CALLS}}}
arms:
  - name: caching-off
    engine: vllm
    model: {TINY}
    python: {VLLM}
    presets: [prefix-caching-off]
    flags: {{max-model-len: 8192, num-gpu-blocks-override: 512, {NO_WORKER}}}
    env: {VARIABLES}
  - name: caching-on
    engine: vllm
    model: {TINY}
    python: {VLLM}
    presets: [prefix-caching-on]
    flags: {{max-model-len: 8192, num-gpu-blocks-override: 512, {NO_WORKER}}}
    env: {VARIABLES}
"""


@pytest.fixture(scope="module")
def recorded(shared_traces: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Give a store with real tau-bench sessions whose texts are cut short."""
    packed = shared_traces / "tau-bench" / "gpt-4o-airline.tasks00-24.json.gz"
    tasks = orjson.loads(gzip.decompress(packed.read_bytes()))
    for message in (message for task in tasks for message in task["traj"]):
        letters = ANSWER_LETTERS if message["role"] == "assistant" else OTHER_LETTERS
        message["content"] = message["content"] and message["content"][:letters]
    short = tmp_path_factory.mktemp("short") / "airline.json"
    short.write_bytes(orjson.dumps(tasks))
    with Store.in_memory() as store:
        import_paths(store, [short])
        yield store


@pytest.fixture(scope="module")
def caching(
    recorded: Store, alone: Callable[[], AbstractContextManager[None]]
) -> tuple[Store, Verdict]:
    """Replay with prefix caching off and on; once more, alone, where others disturbed it."""
    installed(VLLM, TINY)
    plan = plan_file.parse(CACHING, "plan")
    verdict = compare(recorded, run(recorded, plan))
    if not (verdict.fidelity.passed and is_beyond_control(verdict)):
        with alone():
            verdict = compare(recorded, run(recorded, plan))
    return recorded, verdict


def is_beyond_control(verdict: Verdict) -> bool:
    """Say whether the least that was saved is more than the baseline differs from itself."""
    control = next(one for one in verdict.control.metrics if one.name == "prefill_s").ci95
    saving = metric(verdict, "prefill_s").ci95
    assert control is not None
    assert saving is not None
    return max(map(abs, control)) < -saving[1]


def metric(verdict: Verdict, name: str) -> Metric:
    """Find the caching arm's metric."""
    return next(one for one in verdict.metrics if (one.name, one.compared) == (name, "caching-on"))


def test_predicted_cached_tokens_equal_vllm_s_on_every_call(
    caching: tuple[Store, Verdict],
) -> None:
    """Every call of the run, in a cache of 512 blocks: not one differs."""
    store, verdict = caching
    rows = runs.measured(store, verdict.run_id).filter(pl.col("arm") == "caching-on")
    assert rows["call_id"].n_unique() >= 50
    assert rows["error"].null_count() == rows.height
    assert rows["cached_tokens"].to_list() == rows["predicted_cached_tokens"].to_list()
    assert 0 < int(rows["cached_tokens"].sum()) < int(rows["input_tokens"].sum())


def test_the_verdict_shows_prefill_saved(caching: tuple[Store, Verdict]) -> None:
    """Prefill a session is lower, its interval excludes zero, the fidelity passed."""
    _, verdict = caching
    assert verdict.fidelity.passed, [one for one in verdict.fidelity.checks if not one.passed]
    prefill = metric(verdict, "prefill_s")
    assert prefill.verdict == "lower"
    assert prefill.ci95 is not None
    assert prefill.ci95[1] < 0
    assert metric(verdict, "cached_share").arm > 0.5


def test_the_saving_lies_beyond_the_control(caching: tuple[Store, Verdict]) -> None:
    """The least that was saved is more than the most by which the baseline differs from itself.

    On a quiet machine the control's interval includes zero; other work can shift and widen it.
    """
    _, verdict = caching
    assert is_beyond_control(verdict)


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
