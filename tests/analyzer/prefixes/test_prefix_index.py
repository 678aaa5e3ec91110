"""The growing index against the stored trie, and against brute force."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.prefixes import lru, prefix_tree, shared_prefixes
from phasewise_analyzer.prefixes.hit_rates import Tokens
from phasewise_analyzer.prefixes.prefix_index import PrefixIndex
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import blocks, write_calls

prompts_of_streams = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.integers(0, 2), max_size=14)), min_size=1, max_size=40
)


def indexed(prompts: list[tuple[int, list[int]]]) -> tuple[PrefixIndex, list[int]]:
    """Take the prompts in; give the index, and what each one found known."""
    index = PrefixIndex()
    known = [index.add(np.array(ids, dtype=np.int64), stream) for stream, ids in prompts]
    return index, known


@given(prompts_of_streams)
@settings(max_examples=300, deadline=None)
def test_known_blocks_are_the_longest_prefix_of_any_earlier_prompt(
    prompts: list[tuple[int, list[int]]],
) -> None:
    """Whatever the streams, the answer is that of comparing with every earlier prompt."""
    _, known = indexed(prompts)
    for place, (_, ids) in enumerate(prompts):
        longest = 0
        for _, before in prompts[:place]:
            shared = 0
            for one, other in zip(before, ids, strict=False):
                if one != other:
                    break
                shared += 1
            longest = max(longest, shared)
        assert known[place] == longest


@given(prompts_of_streams)
@settings(max_examples=40, deadline=None)
def test_the_index_and_the_stored_trie_give_the_same_curve(
    prompts: list[tuple[int, list[int]]],
) -> None:
    """Chains of first insertion and heavy chains lead to the same hits at every capacity."""
    index, known = indexed(prompts)
    size = np.array([len(ids) for _, ids in prompts], dtype=np.int64)
    block_tokens = np.full(len(prompts), 16, dtype=np.int64)
    whole = Tokens(size * 16, size.astype(np.float64))
    with Store.in_memory() as store:
        write_calls(store, [blocks(ids) for _, ids in prompts], block_tokens=16)
        tree = prefix_tree.read(store)
    ends = np.append(tree.blocks_end, 0)
    assert ends[shared_prefixes.any_earlier(tree)].tolist() == known
    one = lru.curve(index.stretches(), size, whole, block_tokens)
    other = lru.curve(lru.stretches(tree), size, whole, block_tokens)
    assert index.unique_blocks == one.unique_blocks == other.unique_blocks
    assert [one.row(n) for n in range(1, 60)] == [other.row(n) for n in range(1, 60)]
