"""Analysis that remembers gives what analysis of everything gives."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.analyse import Memory, analyse
from phasewise_collector.importing import import_paths
from phasewise_store.facts import Batch, LlmCall, Segment, Source, Usage
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import SOURCE, blocks, write_calls

WORDS = st.lists(st.sampled_from(["one ", "two ", "three ", "four "]), min_size=1, max_size=6)
PROMPTS = st.lists(
    st.tuples(
        st.sampled_from(["m", "n"]),
        st.lists(st.tuples(st.sampled_from(["user", "tool"]), WORDS), min_size=1, max_size=4),
    ),
    min_size=2,
    max_size=10,
)
Costs = dict[str, tuple[int, int, object]]


def prompt(parts: Sequence[tuple[str, Sequence[str]]]) -> tuple[Segment, ...]:
    """Make messages of words."""
    return tuple(text_segment("message", "".join(words), role) for role, words in parts)


def costs(store: Store) -> Costs:
    """Give what was found for each call."""
    rows = store.frame(
        "SELECT call_id, sent_before_tokens, missed_tokens, missed_usd FROM call_costs"
    )
    return {row[0]: row[1:] for row in rows.iter_rows()}


@pytest.mark.slow
@given(PROMPTS, st.integers(1, 4), st.booleans())
@settings(max_examples=12, deadline=None)
def test_batch_by_batch_is_all_at_once(
    calls: list[tuple[str, list[tuple[str, list[str]]]]], size: int, restart: bool
) -> None:
    """However the calls are cut into batches, and if the process starts anew in between."""
    prompts = [prompt(parts) for _, parts in calls]
    models = [model for model, _ in calls]
    with Store.in_memory() as whole, Store.in_memory() as grown:
        for step, (one, model) in enumerate(zip(prompts, models, strict=True)):
            write_calls(whole, [one], session=f"s{step}", provider="p", model=model)
        analyse(whole)
        memory = Memory()
        for start in range(0, len(prompts), size):
            for step in range(start, min(start + size, len(prompts))):
                write_calls(
                    grown, [prompts[step]], session=f"s{step}", provider="p", model=models[step]
                )
            analyse(grown, memory=memory)
            memory = Memory() if restart else memory
        assert costs(grown) == costs(whole)


def test_a_call_that_comes_again_has_not_sent_itself_before(store: Store) -> None:
    """With the same prompt it keeps its answer; with another one it is looked for anew."""
    memory = Memory()

    def write(session: str, parts: list[tuple[str, list[str]]]) -> None:
        call = LlmCall(
            f"{session}.0",
            session,
            f"{session}/a",
            0,
            Usage(uncached_tokens=100),
            model="m",
            prompt=prompt(parts),
        )
        store.rewrite(Batch(SOURCE, llm_calls=(call,)))
        analyse(store, memory=memory)

    first = [("user", ["one ", "two "]), ("user", ["three "])]
    write("s", first)
    write("t", first)
    before = costs(store)
    assert [before[name][0] for name in ("s.0", "t.0")] == [0, 100]
    write("s", first)
    assert costs(store) == before
    write("s", [("tool", ["four "])])
    assert costs(store)["s.0"][0] == 0


def test_what_another_data_set_had_sent_is_not_this_one_s(store: Store) -> None:
    """The nodes are in the store already: they are read, and count from the second call on."""
    memory = Memory()
    ids = blocks([1, 2, 3])
    other = Source("cd" * 32, "other", "made", "other.jsonl")

    def call(session: str) -> LlmCall:
        usage = Usage(uncached_tokens=48)
        return LlmCall(
            f"{session}.0", session, "x", 0, usage, model="m", prompt=ids, block_tokens=16
        )

    store.write(Batch(other, llm_calls=(call("o"),)))
    write_calls(store, [blocks([7])], block_tokens=16, model="m")
    analyse(store, memory=memory)
    for name in ("s1", "s2"):
        store.write(Batch(SOURCE, llm_calls=(call(name),)))
        analyse(store, memory=memory)
    found = costs(store)
    assert [found[name][0] for name in ("o.0", "s1.0", "s2.0")] == [0, 0, 48]


def test_hashed_blocks_are_remembered_too(store: Store) -> None:
    """A live tracer that sends hashes: shared blocks are counted as by the whole tree."""
    memory = Memory()
    for step, ids in enumerate([range(4), range(6), [0, 1, 9]]):
        write_calls(store, [blocks(list(ids))], session=f"s{step}", block_tokens=16, model="m")
        analyse(store, memory=memory)
    assert [costs(store)[f"s{step}.0"][0] for step in range(3)] == [0, 64, 32]


@pytest.mark.parametrize("name", ["lmcache-agent-trace", "tau2-bench"])
def test_real_sessions_batch_by_batch(
    shared_traces: Path, tmp_path: Path, store: Store, name: str
) -> None:
    """Files imported one after another, each analysed from memory, end as all of them in one batch.

    All at once, tokens inside a prompt are also learned from calls that come later: the sums of
    what was sent before are then the same to three per cent.
    """
    files = sorted((shared_traces / name).rglob("*.gz"))[:4]
    memory = Memory()
    with Store.open(tmp_path / "whole.duckdb") as whole:
        for path in files:
            import_paths(store, [path])
            analyse(store, memory=memory)
        import_paths(whole, files)
        analyse(whole, memory=Memory())
        one, other = costs(store), costs(whole)
    with Store.in_memory() as at_once:
        import_paths(at_once, files)
        analyse(at_once)
        sent = [sum(row[0] for row in rows.values()) for rows in (one, costs(at_once))]
    assert sent[0] == pytest.approx(sent[1], rel=0.03)
    assert json.dumps(one, default=str, sort_keys=True) == json.dumps(
        other, default=str, sort_keys=True
    )
