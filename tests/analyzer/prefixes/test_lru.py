"""The LRU curve against a cache that really evicts block by block."""

import gzip
import json
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.prefixes import reuse
from phasewise_collector.importing import import_paths
from phasewise_store import reads
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import blocks, write_calls


def brute_force(prompts: Sequence[Sequence[object]], capacity: int) -> int:
    """Count hit blocks of an LRU that is touched from each prompt's tail to its head.

    A block is known by all that stands before it, as vLLM's chained hashes do.
    """
    held: OrderedDict[object, None] = OrderedDict()
    hits = 0
    for prompt in prompts:
        chain: list[int] = []
        above = 0
        for block in prompt:
            above = hash((above, block))
            chain.append(above)
        for block in chain:
            if block not in held:
                break
            hits += 1
        for block in reversed(chain):
            held[block] = None
            held.move_to_end(block)
        while len(held) > capacity:
            held.popitem(last=False)
    return hits


prompt_lists = st.lists(st.lists(st.integers(0, 3), max_size=12), min_size=1, max_size=25)


@given(prompt_lists, st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_every_capacity_equals_brute_force(prompts: list[list[int]], capacity: int) -> None:
    """On random prompts over few ids, the curve is exact at any capacity."""
    with Store.in_memory() as store:
        write_calls(store, [blocks(one) for one in prompts], block_tokens=16)
        found = reuse.find(store, capacities=[capacity, 10**9])
    expected = [brute_force(prompts, size) for size in (capacity, 10**9)]
    assert [row.hit_blocks for row in found.lru] == expected


def mooncake(shared_traces: Path, lines: int) -> list[dict[str, list[int]]]:
    """Read the start of the real trace."""
    path = shared_traces / "mooncake" / "conversation_trace.jsonl.gz"
    with gzip.open(path) as file:
        return [json.loads(line) for line, _ in zip(file, range(lines), strict=False)]


CAPACITIES = (19, 195, 1000, 1953, 3906, 5859, 10_000, 30_000, 50_000, 97_656)


@pytest.mark.parametrize("lines", [1500, pytest.param(12_031, marks=pytest.mark.slow)])
def test_the_mooncake_curve_equals_brute_force(
    shared_traces: Path, tmp_path: Path, store: Store, lines: int
) -> None:
    """At ten capacities of real traffic the hit blocks are exactly those of a real cache."""
    requests = mooncake(shared_traces, lines)
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join(json.dumps(request) for request in requests))
    import_paths(store, [path])
    found = reuse.find(store, capacities=CAPACITIES)
    prompts = [request["hash_ids"] for request in requests]
    assert [row.hit_blocks for row in found.lru] == [
        brute_force(prompts, size) for size in CAPACITIES
    ]


@pytest.mark.parametrize("sessions", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_the_curve_of_claude_code_sessions_equals_brute_force(
    shared_traces: Path, store: Store, sessions: int
) -> None:
    """Sessions of growing prompts, sub-agents among them: exact at nine capacities."""
    some = sorted((shared_traces / "kv-cache-tester").rglob("trace_*.json.gz"))[:sessions]
    import_paths(store, some)
    trie = reads.trie(store)
    parent, segment = trie.parent.tolist(), trie.segment.tolist()
    prompts = []
    for leaf in trie.leaf.tolist():
        path, node = [], leaf
        while node >= 0:
            path.append(segment[node])
            node = parent[node]
        prompts.append(path[::-1])
    capacities = (100, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 10**6)
    found = reuse.find(store, capacities=capacities)
    assert [row.hit_blocks for row in found.lru] == [
        brute_force(prompts, size) for size in capacities
    ]


def test_the_mooncake_figures_are_the_published_ones(shared_traces: Path, store: Store) -> None:
    """The infinite cache to 1e-6, and the LRU rows within a point of the list-order reference.

    A cache of 19 blocks holds less than one mean prompt (24): there the order of eviction decides
    everything, and the reference, which evicts a prompt's head first, lies 1.6 points lower.
    """
    reference = json.loads((shared_traces / "reference.json").read_text())
    expected = reference["mooncake/conversation_trace.jsonl.gz"]["lru"]
    import_paths(store, [shared_traces / "mooncake" / "conversation_trace.jsonl.gz"])
    found = reuse.find(store, capacities=CAPACITIES)
    assert (found.calls, found.input_tokens, found.output_tokens) == (
        12_031,
        144_793_823,
        4_122_048,
    )
    infinite = found.reuse.any_earlier
    assert infinite.token_weighted == pytest.approx(0.373624, abs=1e-6)
    assert infinite.block_weighted == pytest.approx(0.366412, abs=1e-6)
    assert found.lru[0].capacity_blocks == 19
    for row in found.lru[1:]:
        listed = expected[str(row.capacity_blocks)]["all_blocks"]
        assert row.total_blocks == listed["total_blocks"]
        assert row.block_weighted == pytest.approx(listed["block_ratio"], abs=0.01)
        assert row.token_weighted == pytest.approx(listed["token_ratio"], abs=0.01)


@given(prompt_lists)
@settings(max_examples=20, deadline=None)
def test_the_curve_never_falls_and_ends_at_the_infinite_cache(prompts: list[list[int]]) -> None:
    """More capacity never hits less; beyond the unique blocks it is the any-earlier reuse."""
    with Store.in_memory() as store:
        write_calls(store, [blocks(one) for one in prompts], block_tokens=16)
        found = reuse.find(store, capacities=[*range(1, 60), 10**6])
    hits = np.array([row.hit_blocks for row in found.lru])
    assert (np.diff(hits) >= 0).all()
    assert found.lru[-1].block_weighted == pytest.approx(found.reuse.any_earlier.block_weighted)
