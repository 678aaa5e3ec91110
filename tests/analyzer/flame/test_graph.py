"""The flame graph's frames against brute force, and its totals against the roll-ups."""

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer import analyse, rollups
from phasewise_analyzer.flame import graph
from phasewise_analyzer.flame.facts import Frame, Measure
from phasewise_collector.importing import import_paths
from phasewise_store.facts import Segment, Usage
from phasewise_store.scope import Scope
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import blocks, messages, write_calls

MEASURES: tuple[Measure, ...] = ("sent", "missed", "usd")
PICO_USD = Fraction(1, 10**12)

Prefix = tuple[int, ...]

recorded_calls = st.lists(
    st.tuples(
        st.lists(st.integers(0, 2), min_size=1, max_size=7),
        st.integers(0, 15),  # tokens that the last block lacks
        st.floats(0, 1),  # share read from a cache
        st.floats(0, 1),  # share of the rest that is written to a cache, at another rate
        st.sampled_from(["claude-sonnet-4-5", "claude-opus-4-1"]),
    ),
    min_size=1,
    max_size=16,
)


def write(store: Store, recorded: list[tuple[list[int], int, float, float, str]]) -> None:
    """Write calls of block hashes, a session each, and analyse them."""
    for place, (ids, lacking, cached_share, written_share, model) in enumerate(recorded):
        size = 16 * len(ids) - lacking
        cached = int(cached_share * size)
        written = int(written_share * (size - cached))
        write_calls(
            store,
            [blocks(ids)],
            usages=[Usage(size - cached - written, cached, written)],
            block_tokens=16,
            session=f"s{place}",
            agents=[f"agent{place % 3}"],
            model=model,
            provider="anthropic",
        )
    analyse.analyse(store)


def heads_by_hand(prompts: list[Prefix]) -> dict[Prefix, Prefix]:
    """Give for every prefix the shortest one that leads to it without a branch."""
    every = {ids[:length] for ids in prompts for length in range(1, len(ids) + 1)}
    following: dict[Prefix, set[int]] = defaultdict(set)
    for one in every:
        following[one[:-1]].add(one[-1])
    found: dict[Prefix, Prefix] = {}
    for one in sorted(every, key=len):
        above = one[:-1]
        found[one] = found[above] if above and len(following[above]) == 1 else one
    return found


def head_ids(forest: graph.Forest, frame: int) -> Prefix:
    """Give the block ids from the root to a frame's head."""
    number = {
        int.from_bytes(segment.digest[:8], "little"): place
        for place, segment in enumerate(blocks(range(3)))
    }
    node, ids = int(forest.frames.head[frame]), list[int]()
    while node >= 0:
        ids.insert(0, number[int(forest.placed.segment[node])])
        node = int(forest.placed.tree.parent[node])
    return tuple(ids)


@pytest.mark.slow
@given(recorded_calls)
@settings(max_examples=25, deadline=None)
def test_every_frame_holds_what_a_walk_over_each_token_finds(
    recorded: list[tuple[list[int], int, float, float, str]],
) -> None:
    """Tokens sent, cached and sent again are exact in each frame, dollars to a digit a call."""
    prompts = [tuple(ids) for ids, *_ in recorded]
    head_of = heads_by_hand(prompts)
    with Store.in_memory() as store:
        write(store, recorded)
        forest = graph.read(store)
    sent, cached, missed = (defaultdict[Prefix, int](int) for _ in range(3))
    usd: dict[Prefix, Fraction] = defaultdict(Fraction)
    passing: dict[Prefix, set[int]] = defaultdict(set)
    for row, call in enumerate(forest.calls.iter_rows(named=True)):
        ids = prompts[row]
        first, end = call["cache_read_tokens"], call["missed_tokens"]
        for token in range(call["input_tokens"]):
            head = head_of[ids[: token // 16 + 1]]
            passing[head].add(row)
            sent[head] += 1
            cached[head] += token < first
            if first <= token < first + end:
                missed[head] += 1
                usd[head] += Fraction(call["missed_usd"]) / end
    frames = forest.frames
    assert len(forest.children) - 1 == len(sent)
    for frame in range(1, len(forest.children)):
        head = head_ids(forest, frame)
        assert frames.own.sent[frame] == sent[head]
        assert frames.own.cached[frame] == cached[head]
        assert frames.own.missed[frame] == missed[head]
        assert frames.calls[frame] == len(passing[head])
        assert frames.first_call[frame] == min(passing[head])
        off = Fraction(int(frames.own.missed_pico_usd[frame])) * PICO_USD - usd[head]
        assert abs(off) <= len(passing[head]) * PICO_USD


@pytest.mark.slow
@given(recorded_calls, st.sampled_from(MEASURES))
@settings(max_examples=15, deadline=None)
def test_a_frame_is_its_own_and_what_follows(
    recorded: list[tuple[list[int], int, float, float, str]], measure: Measure
) -> None:
    """Below every frame lie its own and its children's, to the last digit; on top, the total."""
    with Store.in_memory() as store:
        write(store, recorded)
        found = graph.find(store, measure=measure)
        whole = rollups.totals(store)
    top = found.frames[0]
    assert top.below.sent_tokens == whole.input_tokens
    assert top.below.cached_tokens == whole.cache_read_tokens
    assert top.below.missed_tokens == whole.missed_tokens
    assert top.below.missed_usd == whole.missed_usd
    assert (top.calls, top.sessions) == (len(recorded), len(recorded))
    children: dict[int, list[Frame]] = defaultdict(list)
    for place, frame in enumerate(found.frames):
        assert frame.parent < place
        children[frame.parent].append(frame)
    for place, frame in enumerate(found.frames):
        if frame.kind == "others" or frame.hidden:
            continue
        for each in MEASURES:
            following = sum((one.below.of(each) for one in children[place]), Decimal(0))
            assert frame.own.of(each) + following == frame.below.of(each)
        widths = [one.below.of(measure) for one in children[place] if one.kind == "stretch"]
        assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("name", ["tau-bench", "lmcache-agent-trace", "openhands-sdk"])
def test_real_traces_sum_to_the_roll_ups(shared_traces: Path, store: Store, name: str) -> None:
    """All frames' own tokens and dollars are the data set's, and each address leads back."""
    import_paths(store, [shared_traces / name])
    analyse.analyse(store)
    forest = graph.read(store, Scope(source=name))
    whole = rollups.totals(store, Scope(source=name))
    own, below = forest.frames.own, forest.frames.below
    for sums in (own.sent.sum(), below.sent[0]):
        assert sums == whole.input_tokens
    assert own.cached.sum() == whole.cache_read_tokens
    assert own.missed.sum() == whole.missed_tokens
    usd = Decimal(int(own.missed_pico_usd.sum())).scaleb(-12)
    assert usd == (whole.missed_usd or 0)
    for frame in range(len(forest.children)):
        assert forest.at(forest.address(frame)) == frame


def test_a_frame_begins_at_the_character_where_texts_part(store: Store) -> None:
    """Two system prompts that differ in a day share one frame, and part into two behind it."""
    long = "You are a careful assistant that never guesses and always looks twice. " * 4
    write_calls(
        store,
        [messages([f"{long}Today is Tuesday.", "a"]), messages([f"{long}Today is Thursday.", "b"])],
    )
    found = graph.find(store)
    shared, *days = found.frames[1:]
    assert (shared.calls, shared.level) == (2, 1)
    assert shared.start is not None
    assert (shared.start.shared, shared.start.text) == ("", long[:80])
    assert shared.first == shared.last
    texts = {one.start.text for one in days if one.start}
    assert texts == {"uesday.", "hursday."}
    assert all(one.start and one.start.shared.endswith("Today is T") for one in days)
    assert [one.last.index for one in days if one.last] == [1, 1]


def test_branches_within_one_block_of_text_part_together(store: Store) -> None:
    """`Hi`, `Hi there` and `Hi you` are three prompts of one family, not frames of a token."""
    write_calls(store, [messages([f"Hi{end}"]) for end in ("!", " there, a", " there, b", " you")])
    found = graph.find(store)
    assert [frame.level for frame in found.frames] == [0, 1, 1, 1, 1]
    texts = [frame.start.text for frame in found.frames if frame.start]
    assert sorted(texts) == [" there, a", " there, b", " you", "!"]


def test_a_text_of_another_role_shares_nothing(store: Store) -> None:
    """Where siblings differ in kind or role, the text begins at the segment's start."""
    segments: list[tuple[Segment, ...]] = [
        (text_segment("system", "alike", "system"),),
        (text_segment("message", "alike", "user"),),
    ]
    write_calls(store, segments)
    starts = [frame.start for frame in graph.find(store).frames[1:]]
    assert [(one.shared, one.text) for one in starts if one] == [("", "alike"), ("", "alike")]


def test_narrow_branches_are_one_frame(store: Store) -> None:
    """A thousand branches of a call each, beside a wide one, are merged; nothing gets lost."""
    wide = [blocks(range(3000))] * 3
    write_calls(store, wide + [blocks([5000 + n]) for n in range(1000)], block_tokens=16)
    top, first, others = graph.find(store).frames
    assert (first.kind, first.calls, first.tokens) == ("stretch", 3, 48_000)
    assert (others.kind, others.branches, others.calls) == ("others", 1000, 1000)
    assert others.below.sent_tokens == others.own.sent_tokens == 16_000
    assert first.below.sent_tokens + others.below.sent_tokens == top.below.sent_tokens
    assert top.first is others.first is None


def test_depth_and_number_of_frames_are_limited(store: Store) -> None:
    """A ladder of a hundred branches is drawn to a depth; its last frame says what is hidden."""
    ladder = [blocks([*range(step), 1000 + step]) for step in range(1, 101)]
    write_calls(store, ladder, block_tokens=16)
    found = graph.find(store)
    assert max(frame.level for frame in found.frames) <= graph.MOST_LEVELS
    assert len(found.frames) < graph.MOST_FRAMES + 1 / graph.LEAST_SHARE
    last = max(found.frames, key=lambda frame: (frame.hidden, frame.level))
    assert last.hidden == 2
    deeper = graph.find(store, address=last.address)
    assert deeper.frames[0].below == last.below
    assert len(deeper.above) == last.level
    assert deeper.above[0].below == found.frames[0].below


def test_an_address_of_nothing_is_the_whole(store: Store) -> None:
    """A frame that is not there, or no address at all, gives all prompts; an empty store too."""
    assert graph.find(store).frames[0].calls == 0
    write_calls(store, [blocks([1, 2]), blocks([1, 3])], block_tokens=16)
    for address in ("", "nobody", "999.0", "1", "-1.-1", "9" * 40 + ".0"):
        assert graph.find(store, address=address).frames[0].kind == "all"


def test_calls_without_a_prompt_are_own_to_the_topmost(store: Store) -> None:
    """Their tokens count in the total, and in no stretch."""
    write_calls(store, [blocks([1, 2]), ()], usages=[Usage(32), Usage(70)], block_tokens=16)
    found = graph.find(store)
    top = found.frames[0]
    assert (top.below.sent_tokens, top.own.sent_tokens, found.unknown_calls) == (102, 70, 1)
    assert top.below.missed_usd is None  # not analysed: no price is known


def test_the_widest_are_those_with_the_most_of_their_own(store: Store) -> None:
    """The table lists stretches by what lies in themselves, not by what follows."""
    prompts = [[1, *range(10 + 20 * n, 20 + 20 * n)] for n in range(3)]
    write_calls(store, [blocks(ids) for ids in prompts + prompts[:1]], block_tokens=16)
    found = graph.find(store)
    assert [one.own.sent_tokens for one in found.widest] == [320, 160, 160, 64]
    assert found.widest[-1].below.sent_tokens == found.frames[0].below.sent_tokens
