"""Rows that are kept and added up give what the whole computation gives."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.analyse import Memory, analyse
from phasewise_analyzer.groups import By
from phasewise_analyzer.prefixes import kept_reuse, reuse
from phasewise_collector.importing import import_paths
from phasewise_store.facts import Batch, LlmCall, Usage
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import SOURCE, blocks, messages, write_calls

SCOPES = (EVERYTHING, Scope(agent="a"), Scope(model="m"), Scope(session_id="s1"), Scope(agent="no"))
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["m", "n"]),
        st.lists(st.integers(0, 2), max_size=6),
    ),
    min_size=1,
    max_size=8,
)


def same(store: Store, scope: Scope) -> None:
    """Hold the sums over kept rows against the rows made anew, with every kind of group."""
    for by in get_args(By):
        kept, groups = kept_reuse.find(store, scope, by=by)
        made = reuse.find(store, scope, by=by)
        assert kept == made
        assert groups == len(made.groups)


@given(CALLS, st.integers(1, 3), st.booleans())
@settings(max_examples=8, deadline=None)
def test_kept_rows_are_the_whole_computation_in_every_scope(
    calls: Sequence[tuple[str, str, list[int]]], size: int, hashed: bool
) -> None:
    """In however many batches the calls come, hashed or as text, with and without times."""
    with Store.in_memory() as store:
        for start in range(0, len(calls), size):
            for step, (agent, model, ids) in enumerate(calls[start : start + size], start):
                text = messages([f"{number} and so on. " * 9 for number in ids])
                write_calls(
                    store,
                    [blocks(ids) if hashed else text],
                    session=f"s{step}",
                    block_tokens=16 if hashed else None,
                    agents=[agent],
                    models=[model],
                    starts_ns=[step * 10**11] if step % 3 else None,
                )
            kept_reuse.grow(store)
        for scope in SCOPES:
            same(store, scope)


@pytest.mark.parametrize("name", ["mooncake", "tau-bench", "lmcache-agent-trace"])
def test_kept_rows_are_the_whole_computation_on_real_traces(
    shared_traces: Path, store: Store, name: str
) -> None:
    """A file after another, then all of them: every number is the same."""
    files = sorted((shared_traces / name).rglob("*.gz"))[:3]
    for path in files:
        import_paths(store, [path])
        kept_reuse.grow(store)
    same(store, Scope(source=name))


def test_cells_follow_a_call_s_labels(store: Store) -> None:
    """A call whose user becomes known is added up under it once the rows are settled."""
    call = LlmCall("s.0", "s", "s/a", 0, Usage(uncached_tokens=32), prompt=blocks([1, 2]))
    other = replace(call, call_id="t.0", session_id="t", agent_id="t/a")
    store.rewrite(Batch(SOURCE, llm_calls=(call, other)))
    analyse(store)
    store.rewrite(Batch(SOURCE, llm_calls=(replace(call, user_id="u"),)))
    analyse(store, memory=Memory())
    assert kept_reuse.find(store, Scope(user="u"))[0].calls == 0
    kept_reuse.grow(store)
    same(store, Scope(user="u"))
    assert kept_reuse.find(store, Scope(user="u"))[0].calls == 1
