"""Sampling rules: how many, from which agents, with which chance, and the same in every process."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_replay.plans.session_choice import SAMPLES, Sample
from phasewise_replay.sessions.choosing import duplicates
from phasewise_replay.sessions.sampling import Candidate, quotas, sample

SIZES = st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 40), min_size=1)


STRATIFIED = ["s1", "s7", "s9", "s13"]
WEIGHTED = ["s3", "s16", "s17", "s18"]


def candidates(*weights: int, agents: str = "a") -> list[Candidate]:
    """Make sessions s0, s1, ... of agents that take turns."""
    return [
        Candidate(f"s{place}", agents[place % len(agents)], weight)
        for place, weight in enumerate(weights)
    ]


def ids(chosen: list[Candidate]) -> list[str]:
    """Return the sessions' ids."""
    return [one.session_id for one in chosen]


def test_oldest_and_newest_take_one_end() -> None:
    """In the order of their first call, whichever end it is."""
    everyone = candidates(*[1] * 5)
    assert ids(sample(everyone, "oldest", 2, 0)) == ["s0", "s1"]
    assert ids(sample(everyone, "newest", 2, 0)) == ["s3", "s4"]


@given(SIZES, st.integers(1, 60))
def test_quotas_fill_the_limit_and_follow_the_sizes(sizes: dict[str, int], limit: int) -> None:
    """No group beyond its size, one at least each while there is room, larger ones never fewer."""
    found = quotas(sizes, limit)
    assert sum(found.values()) == min(limit, sum(sizes.values()))
    assert all(found[name] <= sizes[name] for name in sizes)
    assert limit < len(sizes) or min(found.values()) >= 1
    order = sorted(sizes, key=lambda name: (sizes[name], found[name]))
    assert [found[name] for name in order] == sorted(found.values())


def test_quotas_are_in_proportion() -> None:
    """Sixty, thirty and ten sessions share ten places as six, three and one."""
    assert quotas({"a": 60, "b": 30, "c": 10}, 10) == {"a": 6, "b": 3, "c": 1}


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=40),
    st.integers(1, 40),
    st.integers(0, 10**6),
    st.sampled_from(SAMPLES),
)
def test_a_sample_is_as_large_as_it_can_be_and_in_order(
    weights: list[int], limit: int, seed: int, rule: Sample
) -> None:
    """Different sessions, as many as the limit allows, and the same ones again."""
    everyone = candidates(*weights, agents="ab")
    chosen = sample(everyone, rule, limit, seed)
    assert len(set(ids(chosen))) == len(chosen) == min(limit, len(weights))
    assert chosen == sorted(chosen, key=everyone.index)
    assert chosen == sample(everyone, rule, limit, seed)


def test_a_weighted_sample_draws_by_cost() -> None:
    """A session of half the cost is always drawn; the others as often as their weight says."""
    everyone = candidates(100, 40, 30, 20, 10)
    counts = Counter(
        session_id
        for seed in range(2000)
        for session_id in ids(sample(everyone, "cost-weighted", 2, seed))
    )
    assert counts["s0"] == 2000
    for session_id, share in (("s1", 0.4), ("s2", 0.3), ("s3", 0.2), ("s4", 0.1)):
        assert counts[session_id] / 2000 == pytest.approx(share, abs=0.04)


def test_what_is_drawn_is_the_same_in_every_process_and_differs_by_seed() -> None:
    """No random state of a process is in it."""
    everyone = candidates(*range(1, 21), agents="abb")
    assert ids(sample(everyone, "stratified", 4, 7)) == STRATIFIED
    assert ids(sample(everyone, "cost-weighted", 4, 7)) == WEIGHTED
    assert ids(sample(everyone, "cost-weighted", 4, 8)) != WEIGHTED


def test_a_session_that_is_recorded_later_changes_little() -> None:
    """The places in the lot stay: at most one other session comes in."""
    everyone = candidates(*[1] * 30)
    before = set(ids(sample(everyone[:-1], "stratified", 10, 3)))
    after = set(ids(sample(everyone, "stratified", 10, 3)))
    assert len(after - before) <= 1


def test_of_sessions_with_the_same_prompts_one_stays() -> None:
    """The first, or the last where the newest are wanted; the order of the prompts counts."""
    prompts = {"a": (1, 2), "b": (2, 1), "c": (1, 2), "d": (1, 2), "e": (1,)}
    assert duplicates(prompts, newest=False) == {"c": "a", "d": "a"}
    assert duplicates(prompts, newest=True) == {"c": "d", "a": "d"}
