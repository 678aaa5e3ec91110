"""Paths through the trie: the right nodes in the right order, whatever was stored between them."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_store import reads
from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, Usage
from phasewise_store.prompt_paths import LEAST_ROWS, PromptPaths
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

prompts = st.lists(st.lists(st.integers(0, 5), max_size=12), min_size=1, max_size=12)


def write(store: Store, sent: Sequence[Sequence[int]]) -> None:
    """Write a call a prompt, each in a batch of its own."""
    for number, parts in enumerate(sent):
        prompt = tuple(text_segment("message", f"say {part}", "user") for part in parts)
        call = LlmCall(f"c{number}", "s", "s/a", number, Usage(uncached_tokens=1), prompt=prompt)
        store.write(
            Batch(
                Source("f", "f", "made", "f"),
                sessions=(Session("s"),),
                agents=(Agent("s/a", "s", "a"),),
                llm_calls=(call,),
            )
        )


@settings(max_examples=10, deadline=None)
@given(prompts)
def test_a_prompt_is_read_as_it_was_sent(sent: list[list[int]]) -> None:
    """Every part of every prompt, also where prompts share beginnings; one reader for all."""
    with Store.in_memory() as store:
        write(store, sent)
        reader = PromptPaths(store)
        leaves = reads.llm_calls(store).select("leaf_node").to_series()
        for number, (parts, leaf) in enumerate(zip(sent, leaves, strict=True)):
            read = [(part.content or b"").decode() for part in reads.prompt(store, f"c{number}")]
            assert read == [f"say {part}" for part in parts]
            path = reader.path(leaf)
            assert [node.parent_id for node in path] == [0, *(one.node_id for one in path)][:-1]
            assert len(path) == len(parts)


def test_a_prompt_far_from_its_beginning_is_found(store: Store) -> None:
    """Nodes further apart than any window: each is found by its key."""
    sent = [list(range(length)) for length in range(1, 30)]
    between = [[1000 * step + one for one in range(2 * LEAST_ROWS)] for step in range(1, 30)]
    write(store, [one for both in zip(sent, between, strict=True) for one in both])
    assert len(reads.prompt(store, "c56")) == 29
    assert len(reads.prompt(store, "c57")) == 2 * LEAST_ROWS
