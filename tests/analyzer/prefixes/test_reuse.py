"""Reuse against brute force and against published figures."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.prefixes import reuse
from phasewise_collector.importing import import_paths
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import blocks, messages, write_calls


def common(left: list[int], right: list[int]) -> int:
    """Count equal leading ids."""
    return next(
        (n for n, (one, two) in enumerate(zip(left, right, strict=False)) if one != two),
        min(len(left), len(right)),
    )


calls = st.lists(
    st.tuples(st.lists(st.integers(0, 2), max_size=8), st.sampled_from("ab")),
    min_size=1,
    max_size=20,
)


@given(calls)
@settings(max_examples=40, deadline=None)
def test_reuse_equals_brute_force(recorded: list[tuple[list[int], str]]) -> None:
    """Any earlier call, the agent's previous call, and groups by agent, on random prompts."""
    prompts = [ids for ids, _ in recorded]
    agents = [agent for _, agent in recorded]
    total = sum(map(len, prompts))
    any_earlier = previous = 0
    inside = {"a": 0, "b": 0}
    for place, ids in enumerate(prompts):
        earlier = range(place)
        any_earlier += max((common(ids, prompts[one]) for one in earlier), default=0)
        own = [prompts[one] for one in earlier if agents[one] == agents[place]]
        inside[agents[place]] += max((common(ids, one) for one in own), default=0)
        known = [one for one in own if one]
        previous += common(ids, known[-1]) if known else 0
    with Store.in_memory() as store:
        write_calls(store, [blocks(ids) for ids in prompts], block_tokens=16, agents=agents)
        found = reuse.find(store, by="agent")
    if total:
        assert found.reuse.any_earlier.token_weighted == pytest.approx(any_earlier / total)
        assert found.reuse.previous_call.block_weighted == pytest.approx(previous / total)
    for group in found.groups:
        own_total = sum(len(ids) for ids, agent in recorded if agent == group.key)
        if own_total:
            assert group.reuse.any_earlier.token_weighted == pytest.approx(
                inside[group.key] / own_total
            )


@given(calls)
@settings(max_examples=20, deadline=None)
def test_every_share_lies_between_zero_and_one(recorded: list[tuple[list[int], str]]) -> None:
    """No definition, no group and no LRU row ever leaves [0, 1]."""
    with Store.in_memory() as store:
        write_calls(store, [blocks(ids) for ids, _ in recorded], block_tokens=16)
        found = reuse.find(store, by="session")
    rates = [found.reuse, *(group.reuse for group in found.groups)]
    shares = [
        share
        for reuse in rates
        for rate in (reuse.any_earlier, reuse.previous_call)
        for share in (rate.token_weighted, rate.block_weighted, rate.mean_of_calls)
    ]
    shares += [share for row in found.lru for share in (row.block_weighted, row.token_weighted)]
    assert all(0 <= share <= 1 for share in shares)


def test_a_prefix_may_end_inside_a_message(store: Store) -> None:
    """Two system prompts that differ in a date at the end share all before it."""
    long = "You are a careful assistant that never guesses. " * 50
    write_calls(store, [messages([f"{long}Today is Monday"]), messages([f"{long}Today is Friday"])])
    found = reuse.find(store)
    assert 0.45 < found.reuse.any_earlier.token_weighted < 0.5


@pytest.mark.slow
def test_kv_cache_tester_reuse_is_the_reference_per_trace(
    shared_traces: Path, kv_cache_tester: Store
) -> None:
    """For each of 155 traces both ratios equal the independent computation to 1e-6."""
    found = reuse.find(kv_cache_tester, by="file")
    reference = json.loads((shared_traces / "reference.json").read_text())["kv-cache-tester"]
    assert len(found.groups) == len(reference["per_trace"]) == 155
    for group in found.groups:
        expected = reference["per_trace"][Path(group.key).name]
        assert group.calls == expected["requests"]
        rates = group.reuse
        assert rates.any_earlier.block_weighted == pytest.approx(expected["inf_ratio"], abs=1e-6)
        assert rates.previous_call.block_weighted == pytest.approx(
            expected["consec_ratio"], abs=1e-6
        )
    assert found.reuse.any_earlier.block_weighted == pytest.approx(
        reference["inf_ratio_token_weighted"], abs=1e-6
    )


def test_lmcache_hit_rates_are_the_published_ones(shared_traces: Path, store: Store) -> None:
    """Without a tokenizer, each session's rate is within 0.5 points of what the plots show."""
    import_paths(store, [shared_traces / "lmcache-agent-trace"])
    reference = json.loads((shared_traces / "reference.json").read_text())["lmcache-agent-trace"]
    by_name = {Path(entry["file"]).name: entry for entry in reference["per_file"].values()}
    found = reuse.find(store, Scope(source="lmcache-agent-trace"), by="file")
    assert len(found.groups) == 23
    distances = []
    for group in found.groups:
        entry = by_name[Path(group.key).name.removesuffix(".gz")]
        published = entry["published_prefix"]
        expected = entry["inf_tok"] if published is None else published / 100
        distances.append(abs(group.reuse.any_earlier.token_weighted - expected))
    assert max(distances) < 0.005, np.round(distances, 4)


def test_tau_bench_reuse_is_near_the_tokenizer_s(shared_traces: Path, store: Store) -> None:
    """Both yardsticks within 0.5 points of a true tokenization."""
    import_paths(store, [shared_traces / "tau-bench"])
    found = reuse.find(store)
    assert found.reuse.previous_call.token_weighted == pytest.approx(0.9023, abs=0.005)
    assert found.reuse.any_earlier.token_weighted == pytest.approx(0.9328, abs=0.005)
