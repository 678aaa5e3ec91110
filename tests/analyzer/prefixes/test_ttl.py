"""The lifetime curve against a cache that really forgets."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.prefixes import reuse
from phasewise_analyzer.prefixes.ttl import FOREVER_S
from phasewise_collector.importing import import_paths
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import blocks, write_calls

SECOND_NS = 10**9


def brute_force(prompts: Sequence[Sequence[object]], starts_s: Sequence[int], ttl_s: float) -> int:
    """Count hit blocks of a cache in which a use renews a block's life."""
    used: dict[int, int] = {}
    hits = 0
    for prompt, now in zip(prompts, starts_s, strict=True):
        above, alive = 0, True
        for block in prompt:
            above = hash((above, block))
            alive = alive and above in used and now - used[above] <= ttl_s
            hits += alive
            used[above] = now
    return hits


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 3), max_size=10), st.integers(0, 400)),
        min_size=1,
        max_size=20,
    ),
    st.integers(0, 1500),
)
@settings(max_examples=30, deadline=None)
def test_every_lifetime_equals_brute_force(calls: list[tuple[list[int], int]], ttl_s: int) -> None:
    """On random prompts and pauses, the curve is exact at any lifetime."""
    prompts = [prompt for prompt, _ in calls]
    starts: list[int] = []
    for _, pause in calls:
        starts.append((starts[-1] if starts else 0) + pause)
    with Store.in_memory() as store:
        write_calls(
            store,
            [blocks(one) for one in prompts],
            block_tokens=16,
            starts_ns=[one * SECOND_NS for one in starts],
        )
        found = reuse.find(store, ttls_s=[ttl_s])
    expected = [brute_force(prompts, starts, one) for one in (ttl_s, FOREVER_S)]
    assert [row.hit_blocks for row in found.ttl] == expected


def test_for_ever_is_the_infinite_cache(shared_traces: Path, store: Store) -> None:
    """A lifetime without end gives the same hit blocks as a capacity without end."""
    import_paths(store, [shared_traces / "mooncake"])
    found = reuse.find(store, capacities=[10**9])
    assert found.ttl[-1].hit_blocks == found.lru[0].hit_blocks
    assert found.ttl[-1].token_weighted == pytest.approx(0.373624, abs=1e-3)
    shares = [row.token_weighted for row in found.ttl]
    assert shares == sorted(shares)


def test_a_source_without_times_has_no_curve(store: Store) -> None:
    """No start is known: nothing is said."""
    write_calls(store, [blocks([1, 2])], block_tokens=16)
    assert reuse.find(store).ttl == ()
