"""Of sorted texts, the neighbours of a new one share the most with it."""

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.analyse import Memory, analyse
from phasewise_analyzer.prefixes import live_tree, sibling_texts
from phasewise_analyzer.prefixes.shared_text import common_tokens
from phasewise_analyzer.prefixes.sibling_texts import Siblings, Texts
from phasewise_store.facts import Batch, LlmCall, Segment, Usage
from phasewise_store.segments import text_segment
from phasewise_store.store import Store
from phasewise_store.trie import segment_id

from tests.analyzer.facts_for_tests import SOURCE

PARTS = st.lists(st.sampled_from(["word ", "wor", " ", "42", "1", "\n", "- ", "é"]), max_size=6)
SEGMENTS = st.lists(
    st.tuples(st.sampled_from(["user", "tool"]), PARTS.map("".join)), min_size=1, max_size=12
)


def stored(store: Store, segments: list[Segment], first: int = 0) -> None:
    """Write messages, each the prompt of a call of its own."""
    calls = [
        LlmCall(f"s{n}.0", f"s{n}", f"s{n}/a", 0, Usage(uncached_tokens=one.tokens), prompt=(one,))
        for n, one in enumerate(segments, start=first)
    ]
    store.write(Batch(SOURCE, llm_calls=tuple(calls)))


def shared(one: Segment, other: Segment) -> int:
    """Compare two messages."""
    texts = [(segment.content or b"").decode() for segment in (one, other)]
    return common_tokens(*texts) if one.role == other.role else 0


@given(SEGMENTS, st.integers(0, 4), st.sampled_from([3, sibling_texts._HEAD_CHARACTERS]))
@settings(max_examples=30, deadline=None)
def test_a_neighbour_shares_as_much_as_any(
    texts: list[tuple[str, str]], first: int, head_characters: int
) -> None:
    """One after the other, as they arrive; a few are there before anything is asked.

    Also where many have the same head.
    """
    with (
        Store.in_memory() as store,
        patch.object(sibling_texts, "_HEAD_CHARACTERS", head_characters),
    ):
        made = (text_segment("message", text, role) for role, text in texts if text)
        segments = list(dict.fromkeys(made))
        stored(store, segments)
        known = Siblings(Texts(store), map(segment_id, segments[:first]))
        for place, segment in enumerate(segments[first:], start=first):
            most = max((shared(segment, one) for one in segments[:place]), default=0)
            tokens, other = known.nearest(segment_id(segment))
            assert tokens == most
            named = {segment_id(one): one for one in segments[:place]}
            assert not most or shared(segment, named[other]) == most
            known.add(segment_id(segment))


def test_where_too_many_are_remembered_the_latest_are(store: Store) -> None:
    """Thirty prompts of which five may be remembered: the last two still find each other."""
    memory = Memory()
    texts = [f"{number * 7919 % 101:03d} {'the same words ' * 20}{number}" for number in range(30)]
    with (
        patch.object(live_tree, "MOST_REMEMBERED", 5),
        patch.object(live_tree, "MOST_SIBLINGS", 2),
    ):
        for number, text in enumerate([*texts, f"{texts[-1]} and more"]):
            stored(store, [text_segment("system", text)], number)
            analyse(store, memory=memory)
    found = store.frame(
        "SELECT k.sent_before_tokens * 1.0 / c.input_tokens AS share FROM call_costs k "
        "JOIN llm_calls c USING (call_id) WHERE c.session_id = 's30'"
    )
    assert found["share"].item() > 0.9


def test_none_of_many_siblings_is_forgotten(store: Store) -> None:
    """The first of six hundred sessions began like the last one, batches ago."""
    memory = Memory()
    system = "you are one of many agents; " * 20
    texts = [f"{number:04d} {number * number} {system}" for number in range(600)]
    segments = [text_segment("system", text) for text in texts]
    for start in range(0, 600, 100):
        stored(store, segments[start : start + 100], start)
        analyse(store, memory=memory)
    stored(store, [text_segment("system", f"{texts[0][:-5]}and the last")], 600)
    analyse(store, memory=memory)
    found = store.frame(
        "SELECT k.sent_before_tokens * 1.0 / c.input_tokens AS share FROM call_costs k "
        "JOIN llm_calls c USING (call_id) WHERE c.session_id = 's600'"
    )
    assert found["share"].item() > 0.9
