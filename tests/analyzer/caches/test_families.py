"""What holds of every cache, by every record of the book, whatever is sent."""

from dataclasses import replace
from functools import cache as remember

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.caches import book, families
from phasewise_analyzer.caches.policy import FAMILIES, Policy
from phasewise_store.errors import UsageError

from tests.analyzer.caches.prompts_by_chance import Sending, asked, sent_before, traffic


@remember
def policies() -> tuple[Policy, ...]:
    """Give all records, and some of them made smaller so that short prompts matter."""
    found = book.read().policies
    low = tuple(replace(one, min_tokens=0) for one in found)
    small = tuple(
        replace(one, capacity_tokens=size)
        for one in low
        if one.family in ("block_prefix", "token_radix")
        for size in (0, 100, 700)
    )
    units = tuple(
        replace(one, unit_interval_tokens=64) for one in low if one.family == "prefix_units"
    )
    late = tuple(replace(one, ttl_from="answer_start") for one in (*low, *small))
    return (*found, *low, *small, *units, *late)


def test_every_family_has_code_and_a_record() -> None:
    """No family is only a name, and none is only code."""
    assert set(families.FAMILIES) == set(FAMILIES)
    assert {one.family for one in policies()} == set(FAMILIES)


@given(traffic, st.data())
@settings(max_examples=400, deadline=None)
def test_read_written_and_uncached_are_the_whole_prompt(
    sent: list[Sending], data: st.DataObject
) -> None:
    """None of the three is negative, no more is read than was sent before, reasons are honest."""
    policy = data.draw(st.sampled_from(policies()), label="policy")
    cache = families.make(policy)
    calls = asked(sent)
    for call, before in zip(calls, sent_before(calls), strict=True):
        served = cache.serve(call)
        assert 0 <= served.read <= before
        assert all(tokens > 0 for tokens in served.written.values())
        assert served.uncached(call.tokens) >= 0
        assert (served.reason == "nothing missed") == (served.read == before)
        assert policy.writes_charged or not served.written
        assert set(served.written) <= set(policy.lifetimes_s)


@given(traffic, st.sampled_from(policies()))
@settings(max_examples=150, deadline=None)
def test_other_spaces_change_nothing(sent: list[Sending], policy: Policy) -> None:
    """With unlimited room, traffic of another account between the calls changes no answer."""
    policy = replace(policy, capacity_tokens=None)
    alone, beside = families.make(policy), families.make(policy)
    for call in asked(sent):
        beside.serve(replace(call, space="elsewhere"))
        assert alone.serve(call) == beside.serve(call)


WHOLE_PROMPTS = ("block_prefix", "token_radix", "prefix_units")


@given(traffic, st.sampled_from([one for one in policies() if one.family in WHOLE_PROMPTS]))
@settings(max_examples=150, deadline=None)
def test_a_longer_lifetime_never_reads_less(sent: list[Sending], policy: Policy) -> None:
    """Where whole prompts are kept, each call reads at least as much with a longer lifetime."""
    caches = [
        families.make(replace(policy, lifetimes_s={"it": s}, default_lifetime="it"))
        for s in (0.0, 200.0, 500.0, 10_000.0)
    ]
    for call in asked(sent):
        reads = [cache.serve(call).read for cache in caches]
        assert reads == sorted(reads)


@given(traffic, st.integers(0, 1500))
@settings(max_examples=150, deadline=None)
def test_a_larger_cache_never_reads_less(sent: list[Sending], capacity: int) -> None:
    """The least recently used goes first: what a small cache holds, a large one holds too."""
    policy = replace(book.read().named("vllm/blocks"), capacity_tokens=capacity)
    caches = [
        families.make(replace(policy, capacity_tokens=room))
        for room in (capacity, capacity + 160, 10**9)
    ]
    unlimited = families.make(replace(policy, capacity_tokens=None))
    for call in asked(sent):
        reads = [cache.serve(call).read for cache in caches]
        assert reads == sorted(reads)
        assert reads[-1] == unlimited.serve(call).read


def test_a_lifetime_is_chosen_by_its_name() -> None:
    """A what-if takes another lifetime of the policy; one that it has not is named."""
    policy = book.read().named("anthropic/opus-5")
    assert families.with_lifetime(policy, "1h").lifetime_s() == 3600
    with pytest.raises(UsageError, match=r"no lifetime `2h`; it has `5m`, `1h`"):
        families.with_lifetime(policy, "2h")
