"""Prefix units: the three documented rules."""

from dataclasses import replace

from phasewise_analyzer.caches import book, families

from tests.analyzer.caches.prompts_for_tests import Part, Prompts

DEEPSEEK = book.read().named("deepseek/units")
A, B, C, D = (Part(name, 1000) for name in "ABCD")


def test_a_common_prefix_becomes_a_unit_when_it_is_seen() -> None:
    """A+B, then A+C: the second misses and makes A; then A+D reads A."""
    prompts, cache = Prompts(), families.make(DEEPSEEK)
    served = [
        cache.serve(prompts.asked(prompt, at_s))
        for at_s, prompt in ((0, [A, B]), (10, [A, C]), (20, [A, D]))
    ]
    assert [one.read for one in served] == [0, 0, 1000]
    assert [one.reason for one in served] == ["nothing missed", "granularity", "nothing missed"]


def test_a_whole_prompt_is_a_unit() -> None:
    """A conversation's next turn reads all of the turn before."""
    prompts, cache = Prompts(), families.make(DEEPSEEK)
    cache.serve(prompts.asked([A, B]))
    assert cache.serve(prompts.asked([A, B, C, D], 10)).read == 2000


def test_a_part_of_a_unit_is_not_read() -> None:
    """A alone is the front of the unit A+B and reads nothing of it."""
    prompts, cache = Prompts(), families.make(DEEPSEEK)
    cache.serve(prompts.asked([A, B]))
    served = cache.serve(prompts.asked([A], 10))
    assert (served.read, served.reason) == (0, "granularity")


def test_known_intervals_make_units_inside_a_prompt() -> None:
    """With a unit every 400 tokens, 800 of the shared 1,000 are read at once."""
    policy = replace(DEEPSEEK, unit_interval_tokens=400)
    prompts, cache = Prompts(), families.make(policy)
    cache.serve(prompts.asked([A, B]))
    assert cache.serve(prompts.asked([A, C], 10)).read == 800


def test_a_unit_is_there_when_the_answer_begins() -> None:
    """Side by side, the second call reads nothing of the first one's unit."""
    prompts, cache = Prompts(), families.make(DEEPSEEK)
    cache.serve(prompts.asked([A, B], answers_s=30))
    served = cache.serve(prompts.asked([A, B], 10))
    assert (served.read, served.reason) == (0, "in flight")
