"""Repeats at any place against brute force, and against published figures."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.prefixes import chunks, repeats, reuse
from phasewise_collector.importing import import_paths
from phasewise_store.facts import Segment
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import blocks, messages, write_calls

WORDS = [f"{word}{number}" for word in ("alpha", "beta", "gamma") for number in range(40)]


def prose(seed: int, words: int = 60) -> str:
    """Make a text that is the same for the same seed."""
    return " ".join(random.Random(seed).choices(WORDS, k=words))


TEXTS = [
    prose(1),
    prose(2),
    f"{prose(3)} {prose(1)}",
    f"{prose(1)} {prose(4)}",
    f"{prose(2, 20)} {prose(1)} {prose(4)}",
    "short",
]
"""some hold others, or start like them"""


def pieces(segment: Segment) -> list[bytes]:
    """Give the contents of a segment's chunks."""
    content = segment.content or b""
    ends = chunks.cut(content).tolist()
    return [content[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def brute_force(prompts: Sequence[tuple[Segment, ...]]) -> list[float]:
    """Give the tokens of each prompt that stand somewhere in an earlier one."""
    sent: set[bytes] = set()
    found = []
    for prompt in prompts:
        repeated = 0.0
        for segment in prompt:
            known = sum(len(piece) for piece in pieces(segment) if piece in sent)
            repeated += segment.tokens * known / len(segment.content or b"")
        found.append(repeated)
        sent.update(piece for segment in prompt for piece in pieces(segment))
    return found


calls = st.lists(
    st.tuples(st.lists(st.integers(0, len(TEXTS) - 1), max_size=6), st.sampled_from("ab")),
    min_size=1,
    max_size=12,
)


@given(calls)
@settings(max_examples=30, deadline=None)
def test_repeats_equal_brute_force(recorded: list[tuple[list[int], str]]) -> None:
    """On random prompts of texts that hold each other, over all calls and inside each agent."""
    prompts = [messages([TEXTS[number] for number in numbers]) for numbers, _ in recorded]
    agents = [agent for _, agent in recorded]
    with Store.in_memory() as store:
        write_calls(store, prompts, agents=agents)
        found = repeats.find(store, by="agent")
        rates = reuse.find(store, by="agent")
    shared = rates.reuse.any_earlier.token_weighted
    assert found.whole.prefix_share == pytest.approx(shared, abs=1e-9)
    rows = [(found.whole, prompts)]
    for group in found.groups:
        own = [prompt for prompt, agent in zip(prompts, agents, strict=True) if agent == group.key]
        rows.append((group, own))
    for row, sent in rows:
        # a prefix may reach further into a text than its chunks do: it is never less than that
        least = sum(brute_force(sent))
        assert row.calls == len(sent)
        assert row.anywhere_tokens >= max(row.prefix_tokens, least - 0.5 * len(sent))
        assert row.anywhere_tokens <= row.prefix_tokens + least + 0.5 * len(sent)
        assert row.sent_bytes == sum(len(one.content or b"") for prompt in sent for one in prompt)
        distinct = {piece for prompt in sent for one in prompt for piece in pieces(one)}
        assert row.unique_bytes == sum(map(len, distinct))


@given(st.lists(st.lists(st.integers(0, 4), max_size=8), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_blocks_repeat_wherever_they_stand(recorded: list[list[int]]) -> None:
    """A block that any earlier prompt had at any place counts; exact on random prompts."""
    expected = 0
    sent: set[int] = set()
    for ids in recorded:
        expected += sum(number in sent for number in ids)
        sent.update(ids)
    with Store.in_memory() as store:
        write_calls(store, [blocks(ids) for ids in recorded], block_tokens=16)
        found = repeats.find(store).whole
    assert found.anywhere_tokens == 16 * expected
    assert found.dedup_factor is None


def test_an_insertion_shifts_nothing() -> None:
    """All but a few of the chunks of a long text are the same after a line is put into it."""
    text = prose(5, 4000).encode()
    middle = len(text) // 2
    edited = text[:middle] + b"\none more line\n" + text[middle:]
    before, size = chunks.fingerprints(text)
    after, _ = chunks.fingerprints(edited)
    assert len(before) > 200
    assert len(set(before.tolist()) - set(after.tolist())) <= 2
    assert 0.5 < size.mean() / chunks.MEAN_BYTES < 2


def test_a_changed_first_line_costs_the_prefix_alone(store: Store) -> None:
    """With the date in front nothing is left of the prefix, and nearly all repeats elsewhere."""
    text = prose(6, 2000)
    write_calls(store, [messages([f"{day}: {text}"]) for day in ("Monday", "Friday", "Sunday")])
    found = repeats.find(store).whole
    assert found.prefix_share == 0
    assert 0.95 * 2 / 3 < found.anywhere_share <= 2 / 3
    assert found.dedup_factor == pytest.approx(3, rel=0.02)


def test_a_prompt_s_own_repeats_do_not_count(store: Store) -> None:
    """A text that stands twice in the first prompt was not sent before."""
    write_calls(store, [messages([TEXTS[0], TEXTS[0]]), messages([TEXTS[1], TEXTS[0]])])
    first, second = brute_force([messages([TEXTS[0]]), messages([TEXTS[0]])])
    assert first == 0
    assert repeats.find(store).whole.anywhere_tokens == round(second)


def test_calls_without_a_prompt_repeat_nothing(store: Store) -> None:
    """Empty prompts, and an empty store, give zeros."""
    assert repeats.find(store).whole.anywhere_share == 0
    write_calls(store, [()])
    assert repeats.find(store, by="session").groups[0].prompt_tokens == 0


def test_lmcache_repeats_are_near_the_published_ones(shared_traces: Path, store: Store) -> None:
    """Each session's share at any place is within 2.5 points of what the plots show.

    The publisher cuts a prompt into four tokens each and looks for them at any place of an earlier
    prompt: chunks of 16 bytes are about as long. They are cut by their content and most text lies
    in the longer ones, so that they find less, never more (but for the tokenizer: half a point).
    Chunks as long as a block find no more than short ones, and no less than the prefix.
    """
    import_paths(store, [shared_traces / "lmcache-agent-trace"])
    reference = json.loads((shared_traces / "reference.json").read_text())["lmcache-agent-trace"]
    published = {
        Path(entry["file"]).name: entry["published_substring"] / 100
        for entry in reference["per_file"].values()
        if entry["published_substring"] is not None
    }
    fine = repeats.find(store, by="file", mean_bytes=16)
    coarse = repeats.find(store, by="file")
    distances = []
    for short, long in zip(fine.groups, coarse.groups, strict=True):
        name = Path(short.key or "").name.removesuffix(".gz")
        if name in published:
            distances.append(short.anywhere_share - published[name])
            print(  # noqa: T201  # for -s
                f"{name[:8]}: prefix {short.prefix_share:.3f}, anywhere {short.anywhere_share:.3f} "
                f"({long.anywhere_share:.3f} by blocks), published {published[name]:.3f}"
            )
        assert long.prefix_share <= long.anywhere_share <= short.anywhere_share + 0.001
    assert len(distances) == 23
    assert -0.025 < min(distances) <= max(distances) < 0.005
    assert abs(sum(distances) / len(distances)) < 0.01
