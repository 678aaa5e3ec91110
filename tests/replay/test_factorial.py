"""Main effects and interactions of plans whose arms are all combinations of changes."""

from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest
from phasewise_replay.plans import plan_file
from phasewise_replay.runs.run import run
from phasewise_replay.verdicts import factorial
from phasewise_replay.verdicts.compare import compare
from phasewise_store.store import Store

from tests.replay.recorded import write_sessions
from tests.replay.test_engine_time import call

NONE: frozenset[str] = frozenset()
SQUARE = {
    "base": NONE,
    "cache": frozenset({"cache"}),
    "fp8": frozenset({"fp8"}),
    "both": frozenset({"cache", "fp8"}),
}


def test_all_combinations_of_two_changes_are_a_design() -> None:
    """Factors are named after the arms with one change, wherever they stand in the plan."""
    configs: dict[str, dict[str, object]] = {
        "base": {"engine": "vllm"},
        "both": {"engine": "vllm", "caching": True, "quantization": "fp8"},
        "cache": {"engine": "vllm", "caching": True},
        "fp8": {"engine": "vllm", "quantization": "fp8"},
    }
    assert factorial.design(configs) == {name: SQUARE[name] for name in configs}


@pytest.mark.parametrize(
    "configs",
    [
        {"base": {}},
        {"base": {}, "a": {"x": 1}},
        {"base": {}, "a": {"x": 1}, "b": {"y": 1}},
        {"base": {}, "a": {"x": 1}, "b": {"y": 1}, "c": {"z": 1}},
        {"base": {}, "a": {"x": 1}, "b": {"x": 2}, "c": {"y": 1}},
        {"base": {}, "a": {"x": 1}, "b": {"y": 1}, "c": {"x": 1, "y": 2}},
    ],
)
def test_other_plans_have_no_effects(configs: dict[str, dict[str, object]]) -> None:
    """One change, a missing combination, another level of a change."""
    assert factorial.design(configs) is None


def frame(joint: float, sessions: int = 12) -> pl.DataFrame:
    """Make calls: the cache halves the prefill, fp8 takes a fifth, and both `joint` more."""
    generator = np.random.default_rng(3)
    rows = []
    for number in range(sessions):
        length = float(generator.lognormal(0, 1)) * 1e9
        for arm, factors in SQUARE.items():
            ratio = (0.5 if "cache" in factors else 1.0) * (0.8 if "fp8" in factors else 1.0)
            ratio *= joint if len(factors) == 2 else 1.0
            noise = float(np.exp(generator.normal(0, 0.02)))
            made = replace(call(f"s{number}", 0, 0), arm=arm)
            rows.append(replace(made, prefill_ns=round(length * ratio * noise)))
    return pl.DataFrame([asdict(row) for row in rows], infer_schema_length=None)


def test_changes_that_do_not_touch_each_other_have_no_interaction() -> None:
    """Half, four fifths, and the product of both."""
    found = {
        one.factors: one
        for one in factorial.effects(frame(1.0), SQUARE)
        if one.measure == "prefill_s"
    }
    assert found["cache",].ratio == pytest.approx(0.5, rel=0.02)
    assert found["fp8",].ratio == pytest.approx(0.8, rel=0.02)
    assert [found["cache",].verdict, found["fp8",].verdict] == ["lower", "lower"]
    assert found["cache", "fp8"].ratio == pytest.approx(1.0, rel=0.03)
    assert found["cache", "fp8"].verdict == "no significant difference"


def test_a_saving_that_two_changes_share_is_an_interaction() -> None:
    """Together they take a quarter more than the product says."""
    found = factorial.effects(frame(1.25), SQUARE)
    (joint,) = [one for one in found if one.measure == "prefill_s" and len(one.factors) == 2]
    assert joint.ratio == pytest.approx(1.25, rel=0.03)
    assert joint.ci95 is not None
    assert joint.ci95[0] < 1.25 < joint.ci95[1]
    assert joint.verdict == "higher"


def test_a_replay_of_four_combinations_shows_its_effects(store: Store) -> None:
    """Chunk size and caching on the simulator; another plan has none."""
    write_sessions(store, sessions=10)
    gpu = "engine: simulated, gpu: h100-sxm, model: qwen3-8b"
    text = f"""
name: square
sessions: {{source: recorded}}
arms:
  - {{name: base, {gpu}, presets: [prefix-caching-off]}}
  - {{name: cached, {gpu}, presets: [prefix-caching-on]}}
  - {{name: chunked, {gpu}, presets: [prefix-caching-off, chunk-256]}}
  - {{name: both, {gpu}, presets: [prefix-caching-on, chunk-256]}}
"""
    verdict = compare(store, run(store, plan_file.parse(text, "made")))
    found = {one.factors: one for one in verdict.effects if one.measure == "prefill_s"}
    assert set(found) == {("cached",), ("chunked",), ("cached", "chunked")}
    assert found["cached",].verdict == "lower"
    assert found["chunked",].verdict == "higher"
