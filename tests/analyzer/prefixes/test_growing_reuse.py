"""Reuse that grows call by call gives the rows that all calls together give."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.prefixes import kept_reuse
from phasewise_analyzer.prefixes.growing_reuse import GrowingReuse
from phasewise_collector.importing import import_paths
from phasewise_store.facts import Batch, LlmCall, Usage
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import SOURCE, blocks, messages, write_calls

WORDS = st.lists(
    st.sampled_from(["one and two ", "three or so ", "four " * 20, "five "]), min_size=1, max_size=6
)
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["m", "n"]),
        st.lists(WORDS, max_size=4),
        st.lists(st.integers(0, 2), max_size=6),
    ),
    min_size=1,
    max_size=12,
)


def rows(store: Store) -> pl.DataFrame:
    """Give all rows, their steps in order."""
    sort = ", ".join(f"list_sort({name}) AS {name}" for name in ("lru", "ttl"))
    return store.frame(f"SELECT * EXCLUDE (lru, ttl), {sort} FROM call_reuse ORDER BY ordinal")


def hold(store: Store, source: str) -> None:
    """Hold the rows that are there against those of all calls together."""
    grown = rows(store)
    cells = store.frame("SELECT * EXCLUDE (lru, ttl) FROM reuse_cells ORDER BY first_ordinal")
    kept_reuse.compare(store, source)
    assert grown.equals(rows(store))
    again = store.frame("SELECT * EXCLUDE (lru, ttl) FROM reuse_cells ORDER BY first_ordinal")
    assert cells.equals(again)


@given(CALLS, st.integers(1, 4), st.booleans(), st.booleans())
@settings(max_examples=10, deadline=None)
def test_batch_by_batch_is_all_at_once(
    calls: Sequence[tuple[str, str, list[list[str]], list[int]]],
    size: int,
    hashed: bool,
    restart: bool,
) -> None:
    """Texts that part inside messages, or hashed blocks; also if the process starts anew."""
    with Store.in_memory() as store:
        growing = GrowingReuse(store, "made")
        for start in range(0, len(calls), size):
            for step, (agent, model, texts, ids) in enumerate(calls[start : start + size], start):
                write_calls(
                    store,
                    [blocks(ids) if hashed else messages(["".join(words) for words in texts])],
                    session=f"s{step % 3}.{step}",
                    block_tokens=16 if hashed else None,
                    agents=[agent],
                    models=[model],
                    starts_ns=[step * 10**11] if step % 4 else None,
                )
            growing = GrowingReuse(store, "made") if restart else growing
            assert growing.grow()
        hold(store, "made")


def test_a_prompt_that_changes_wants_a_fresh_start(store: Store) -> None:
    """What came behind it was compared with another one."""
    growing = GrowingReuse(store, "made")
    write_calls(store, [messages(["one"]), messages(["one", "two"])])
    assert growing.grow()
    call = LlmCall("s.0", "s", "s/a", 0, Usage(uncached_tokens=9), prompt=messages(["three"]))
    store.rewrite(Batch(SOURCE, llm_calls=(call,)))
    assert not growing.grow()
    assert GrowingReuse(store, "made").grow()
    hold(store, "made")


@pytest.mark.parametrize("name", ["mooncake", "tau2-bench", "lmcache-agent-trace"])
def test_real_traces_file_by_file(shared_traces: Path, store: Store, name: str) -> None:
    """Files imported one after another end as all of them at once."""
    growing: GrowingReuse | None = None
    for path in sorted((shared_traces / name).rglob("*.gz"))[:3]:
        import_paths(store, [path])
        growing = growing or GrowingReuse(store, name)
        assert growing.grow()
    hold(store, name)
