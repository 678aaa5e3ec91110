"""A tree of tokens: to the token, or to the page."""

from dataclasses import replace

from phasewise_analyzer.caches import book, families

from tests.analyzer.caches.prompts_for_tests import Part, Prompts

SGLANG = book.read().named("sglang/radix")


def test_reads_are_exact_to_the_token() -> None:
    """Of 1,237 shared tokens all are read."""
    prompts, cache = Prompts(), families.make(SGLANG)
    cache.serve(prompts.asked([Part("shared", 1237), Part("a", 9)]))
    served = cache.serve(prompts.asked([Part("shared", 1237), Part("b", 9)], 10))
    assert (served.read, served.reason) == (1237, "nothing missed")


def test_the_last_token_is_computed() -> None:
    """The same prompt again reads all but one token."""
    prompts, cache = Prompts(), families.make(SGLANG)
    cache.serve(prompts.asked([Part("all", 1237)]))
    assert cache.serve(prompts.asked([Part("all", 1237)], 10)).read == 1236


def test_pages_round_down() -> None:
    """Where a backend forces pages of 64, 19 of them are read of 1,237 tokens."""
    policy = replace(SGLANG, granularity_tokens=64)
    prompts, cache = Prompts(), families.make(policy)
    cache.serve(prompts.asked([Part("shared", 1237), Part("a", 99)]))
    served = cache.serve(prompts.asked([Part("shared", 1237), Part("b", 99)], 10))
    assert (served.read, served.reason) == (19 * 64, "granularity")


def test_room_is_made_token_by_token() -> None:
    """A tree of 1,000 tokens that takes 400 new ones keeps the first 600 of the old."""
    prompts, cache = Prompts(), families.make(replace(SGLANG, capacity_tokens=1000))
    cache.serve(prompts.asked([Part("a", 900)]))
    cache.serve(prompts.asked([Part("b", 400)], 1))
    served = cache.serve(prompts.asked([Part("a", 900)], 10))
    assert (served.read, served.reason) == (600, "evicted")


def test_namespaces_share_nothing() -> None:
    """Another adapter or salt is another tree."""
    prompts, cache = Prompts(), families.make(SGLANG)
    cache.serve(prompts.asked([Part("a", 900)], settings=("lora-1", None, None)))
    served = cache.serve(prompts.asked([Part("a", 900)], 10, settings=("lora-2", None, None)))
    assert (served.read, served.reason) == (0, "settings")
