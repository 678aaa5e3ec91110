"""Blocks: rounding, minimum, lifetime, and an oracle that really keeps every block."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.caches import book, families

from tests.analyzer.caches.prompts_for_tests import Part, Prompts, parts

BOOK = book.read()
GPT = BOOK.named("openai/gpt-5")
VLLM = BOOK.named("vllm/blocks")


def test_reads_are_whole_blocks_and_the_rest_is_named() -> None:
    """Of 1,300 shared tokens ten blocks of 128 are read."""
    prompts, cache = Prompts(), families.make(GPT)
    shared = Part("shared", 1300, 1)
    cache.serve(prompts.asked([shared, Part("a", 50)]))
    served = cache.serve(prompts.asked([shared, Part("b", 50)], 10))
    assert (served.read, served.reason) == (1280, "granularity")


def test_below_the_minimum_nothing_is_read() -> None:
    """1,023 shared tokens are seven blocks, and none of them is read."""
    for shared, read in ((1023, 0), (1024, 1024)):
        prompts, cache = Prompts(), families.make(GPT)
        front = Part("shared", shared)
        cache.serve(prompts.asked([front, Part("a", 900)]))
        served = cache.serve(prompts.asked([front, Part("b", 900)], 10))
        assert served.read == read
        assert served.reason == ("nothing missed" if read else "minimum")


def test_a_use_renews_the_life_of_what_it_used_only() -> None:
    """The shared front lives on, the tail that nobody sent again is dropped."""
    prompts, cache = Prompts(), families.make(GPT)
    front, tail = Part("front", 1280), Part("tail", 1280)
    cache.serve(prompts.asked([front, tail]))
    cache.serve(prompts.asked([front], 200))
    served = cache.serve(prompts.asked([front, tail], 400))
    assert (served.read, served.reason) == (1280, "lifetime")
    assert cache.serve(prompts.asked([front, tail], 701)).reason == "lifetime"


@pytest.mark.parametrize("capacity_tokens", [None, 10**6])
@pytest.mark.parametrize("answers_s", [(50, 5), (5, 50)])
def test_a_prompt_that_is_still_being_read_in_is_in_flight(
    answers_s: tuple[int, int], capacity_tokens: int | None
) -> None:
    """The second of two calls side by side reads nothing; the quicker answer opens the blocks."""
    policy = replace(GPT, capacity_tokens=capacity_tokens)
    prompts, cache = Prompts(), families.make(policy)
    calls = zip((0, 1, 7), (*answers_s, 5), strict=True)
    served = [
        cache.serve(prompts.asked(parts(1280), at_s, answers_s=takes_s)) for at_s, takes_s in calls
    ]
    assert [one.read for one in served] == [0, 0, 1280]
    assert served[1].reason == "in flight"


@pytest.mark.parametrize("capacity_tokens", [None, 10**6])
def test_the_later_of_two_uses_counts(capacity_tokens: int | None) -> None:
    """Counted from the answers' starts, a slow call's use is later than that of a quick one."""
    policy = replace(GPT, ttl_from="answer_start", capacity_tokens=capacity_tokens)
    prompts, cache = Prompts(), families.make(policy)
    cache.serve(prompts.asked(parts(1280), answers_s=300))
    cache.serve(prompts.asked(parts(1280), 1, answers_s=1))
    assert cache.serve(prompts.asked(parts(1280), 600)).read == 1280


def test_what_lost_its_tail_is_whole_again_when_it_is_sent_again() -> None:
    """Two blocks of the first prompt go, come back in place of a tail, and others build on them."""
    prompts, cache = Prompts(), families.make(replace(VLLM, capacity_tokens=160))
    first = [Part("head", 16), Part("a", 48)]
    second = [Part("b", 64), Part("middle", 32), Part("tail", 32)]
    more = [*first, Part("c", 33)]
    sent = (first, second, first, more, more)
    reads = [cache.serve(prompts.asked(one, 2 * at)).read for at, one in enumerate(sent)]
    assert reads == [0, 0, 32, 64, 96]


def test_vllm_computes_the_last_token_though_it_costs_a_block() -> None:
    """A prompt of exactly two blocks, sent again, reads one; of 33 tokens it reads both."""
    for tokens, read in ((32, 16), (33, 32)):
        prompts, cache = Prompts(), families.make(VLLM)
        cache.serve(prompts.asked(parts(tokens)))
        assert cache.serve(prompts.asked(parts(tokens), 10)).read == read


def test_charged_writes_are_the_blocks_that_were_not_read() -> None:
    """Kimi K3 writes in blocks of 256: 600 tokens are two, and the rest stays input."""
    prompts, cache = Prompts(), families.make(BOOK.named("moonshot/kimi-k3"))
    first = cache.serve(prompts.asked(parts(600)))
    second = cache.serve(prompts.asked(parts(600, 200), 10))
    assert (first.read, dict(first.written)) == (0, {"5m": 512})
    assert (second.read, dict(second.written)) == (512, {"5m": 256})


def test_what_made_room_for_others_is_evicted() -> None:
    """A cache of 160 tokens that has seen 160 others has nothing left of the first prompt."""
    prompts, cache = Prompts(), families.make(replace(VLLM, capacity_tokens=160))
    cache.serve(prompts.asked([Part("a", 100)]))
    cache.serve(prompts.asked([Part("b", 160)], 1))
    served = cache.serve(prompts.asked([Part("a", 100)], 10))
    assert (served.read, served.reason) == (0, "evicted")


def test_tails_are_evicted_before_heads() -> None:
    """Half of the first prompt's blocks go, and these are its last."""
    prompts, cache = Prompts(), families.make(replace(VLLM, capacity_tokens=160))
    cache.serve(prompts.asked([Part("a", 100)]))
    cache.serve(prompts.asked([Part("b", 112)], 1))
    served = cache.serve(prompts.asked([Part("a", 100)], 10))
    assert (served.read, served.reason) == (48, "evicted")


SIZES = (1, 5, 16, 30, 47)
prompt_lists = st.lists(st.lists(st.integers(0, len(SIZES) - 1), max_size=7), min_size=1)


def brute_force(prompts: Sequence[Sequence[int]], block: int, capacity: int) -> list[int]:
    """Keep every block by all the tokens in front of it; give the tokens read of each prompt."""
    held: OrderedDict[tuple[object, ...], None] = OrderedDict()
    reads = []
    for prompt in prompts:
        tokens = [(name, place) for name in prompt for place in range(SIZES[name])]
        blocks = [tuple(tokens[:end]) for end in range(block, len(tokens) + 1, block)]
        hits = 0
        while hits < len(blocks) and blocks[hits] in held:
            hits += 1
        reads.append(min(hits, max(0, len(tokens) - 1) // block) * block)
        for one in reversed(blocks):
            held[one] = None
            held.move_to_end(one)
        while len(held) > capacity // block:
            held.popitem(last=False)
    return reads


@given(prompt_lists, st.sampled_from((1, 4, 16)), st.integers(0, 300))
@settings(max_examples=300, deadline=None)
def test_a_bounded_cache_equals_brute_force(
    sent: list[list[int]], block: int, capacity: int
) -> None:
    """At any block size and capacity each prompt reads what a real LRU of blocks holds."""
    policy = replace(VLLM, granularity_tokens=block, capacity_tokens=capacity)
    prompts, cache = Prompts(), families.make(policy)
    reads = [
        cache.serve(prompts.asked([Part(name, SIZES[name]) for name in one], 2 * at)).read
        for at, one in enumerate(sent)
    ]
    assert reads == brute_force(sent, block, capacity)


@given(prompt_lists, st.sampled_from((1, 4, 16)))
@settings(max_examples=150, deadline=None)
def test_an_unbounded_cache_equals_brute_force(sent: list[list[int]], block: int) -> None:
    """Without a limit each prompt reads the whole blocks that an earlier one had."""
    prompts, cache = Prompts(), families.make(replace(VLLM, granularity_tokens=block))
    reads = [
        cache.serve(prompts.asked([Part(name, SIZES[name]) for name in one], 2 * at)).read
        for at, one in enumerate(sent)
    ]
    assert reads == brute_force(sent, block, 10**9)
