"""Numbers of hashes: equal digests have equal ones, chained or not."""

from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.caches.block_pool import BlockPool


@given(st.lists(st.lists(st.integers(0, 12), max_size=10, unique=True), max_size=8))
@settings(max_examples=150, deadline=None)
def test_each_digest_has_one_number(prompts: list[list[int]]) -> None:
    """Whatever comes before it, and whichever prompt had it first."""
    pool = BlockPool(None)
    number_of: dict[int, int] = {}
    for prompt in prompts:
        found = pool.ids(tuple(prompt)).tolist()
        assert [number_of.setdefault(*pair) for pair in zip(prompt, found, strict=True)] == found
    assert len(set(number_of.values())) == len(number_of)
    assert not set(pool.fresh(3).tolist()) & set(number_of.values())


def test_a_digest_that_comes_again_in_a_prompt_is_another_block() -> None:
    """A chained one could not be the same; the next prompt finds both."""
    pool = BlockPool(8)
    ids = pool.ids(("a", "b", "a"))
    assert len(set(ids.tolist())) == 3
    pool.name(pool.take(3), ids)
    assert len(pool.hits(pool.ids(("a", "b", "a", "c")))) == 3
