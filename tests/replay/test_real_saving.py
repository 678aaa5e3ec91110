"""The saving of prefix caching, measured on a real vLLM on this CPU.

It is measured alone, and last: servers of other tests keep a core busy even while they wait.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import polars as pl
import pytest
from phasewise_replay.plans import plan_file
from phasewise_replay.runs.run import run
from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.verdict import Metric, Verdict
from phasewise_store import runs
from phasewise_store.store import Store

from tests.real_server import NO_WORKER, TINY, VARIABLES, VLLM, installed

pytestmark = [pytest.mark.engine, pytest.mark.alone]

SESSIONS, MOST_CALLS = 10, 7
"""over fifty calls per block, sent one after another; test_real_caches.py sends hundreds"""


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
def caching(
    recorded: Store, alone: Callable[[], AbstractContextManager[None]]
) -> tuple[Store, Verdict]:
    """Replay with prefix caching off and on."""
    installed(VLLM, TINY)
    with alone():
        verdict = compare(recorded, run(recorded, plan_file.parse(CACHING, "plan")))
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
