"""What an endless cache would have had: what `PagedPrefixCache` finds that never evicts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer.engine.caches.paged_cache import PagedPrefixCache
from phasewise_replay.engine import Answer, Resolved
from phasewise_replay.runs.reach import Reach

RESOLVED = Resolved("vllm", "m", "measured", block_tokens=4)
TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=24)


def answer(output: list[int]) -> Answer:
    """Make an answer with these tokens."""
    return Answer(0, 1, output_token_ids=np.array(output, np.int64))


@given(st.lists(st.tuples(TOKENS, TOKENS), max_size=8))
def test_one_call_after_another_it_is_the_exact_cache(
    calls: list[tuple[list[int], list[int]]],
) -> None:
    """Also for prompts that go on in the middle of a block with what was generated."""
    reach, exact = Reach(RESOLVED), PagedPrefixCache(None, 4)
    for number, (prompt, output) in enumerate(calls):
        ids = np.array(prompt, np.int64)
        assert reach.sent(f"{number}", ids) == exact.lookup(ids)
        reach.answered(f"{number}", answer(output))
        exact.admit(ids, np.array(output, np.int64))


def test_a_prompt_that_is_in_flight_can_be_found_and_its_output_cannot() -> None:
    """An engine shares blocks before a call has ended."""
    reach = Reach(RESOLVED)
    ids = np.arange(9)
    assert [reach.sent("a", ids), reach.sent("b", np.arange(14))] == [0, 8]
    reach.answered("a", answer([9, 10, 11, 12]))
    assert reach.sent("c", np.arange(14)) == 12


def test_nothing_is_known_of_a_server_whose_cache_is_not_known() -> None:
    """Or of a prompt in text."""
    assert Reach(Resolved("url", "m", "measured")).sent("a", np.arange(9)) is None
    assert Reach(RESOLVED).sent("a", None) is None
