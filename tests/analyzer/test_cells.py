"""Cells are the sums over the rows of calls, whatever happened to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st
from phasewise_analyzer import rollups
from phasewise_analyzer.analyse import analyse
from phasewise_analyzer.findings import Totals
from phasewise_store import cells, turns, unused
from phasewise_store.facts import (
    Agent,
    Batch,
    Labels,
    LlmCall,
    Session,
    SideCall,
    Source,
    Usage,
)
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import messages
from tests.analyzer.sums_over_rows import sums

SESSIONS = ("s", "t")
HOUR_NS = 3_600 * 10**9


def batch(session: str, *, calls: int, said: int, source: str) -> Batch:
    """Make a session of so many calls; another `said` gives other usages, labels and times."""
    made = tuple(
        LlmCall(
            call_id=f"{session}.{step}" if said < 3 else f"t.{step}",
            session_id=session,
            agent_id=f"{session}/{step % 2}",
            step=step,
            usage=Usage(uncached_tokens=100 + said, cache_read_tokens=7 * step, output_tokens=9),
            prompt=messages(["x" * 90] * (step + 1)),
            model=("gpt-4o", "no-price")[(step + said) % 2],
            provider="openai",
            started_ns=None if said == 2 else (said + step) * HOUR_NS,
            duration_ns=None if said == 2 else 10**9,
            user_id=(None, "ann", "bob")[said % 3],
            labels=Labels(version=f"v{step % 2}", tags=("a", "b")[: step % 3]),
        )
        for step in range(calls)
    )
    side = SideCall(
        side_call_id=f"{session}-e{said}",
        session_id=session,
        agent_id=f"{session}/0",
        kind="embedding",
        provider="openai",
        model="text-embedding-3-small",
        input_tokens=1000,
        started_ns=HOUR_NS,
    )
    return Batch(
        Source(source, source, "made", source),
        sessions=(Session(session),),
        agents=tuple(
            Agent(f"{session}/{one}", session, f"role {one}", f"{session}/0" if one else None)
            for one in range(2)
        ),
        llm_calls=made,
        side_calls=(side,),
    )


def turn(session: str, step: int) -> turns.StoredTurn:
    """Say that a call belongs to a conversation of its own session."""
    return turns.StoredTurn(
        call_id=f"{session}.{step}",
        own_session=session,
        named=False,
        session_id=session,
        service="",
        started_ns=0,
        ended_ns=0,
        chain=None,
        system=0,
        marks=(),
        asked=(),
        before=None,
        answered=(),
        results=(),
        after_call=None,
    )


Act = tuple[str, str, int, int]
ACTS = st.tuples(
    st.sampled_from(["write", "rewrite", "rename", "move", "retract", "analyse"]),
    st.sampled_from(SESSIONS),
    st.integers(1, 4),
    st.integers(0, 3),
)


def perform(store: Store, act: Act) -> None:
    """Do one thing that changes the facts of a session."""
    word, session, calls, said = act
    facts = batch(session, calls=calls, said=said, source=("one", "two")[said % 2])
    if word == "write":
        store.write(facts)
    elif word == "rewrite":
        store.rewrite(facts)
    elif word == "rename":
        renamed = tuple(replace(one, name=f"{one.name}, renamed") for one in facts.agents)
        store.rewrite(replace(facts, llm_calls=(), side_calls=(), agents=renamed))
    elif word == "move":
        with store.transaction() as connection:
            turns.save(connection, [turn(session, step) for step in range(calls)])
            turns.move(connection, [turns.Move(session, session, f"{session}2")])
    elif word == "retract":
        with store.transaction() as connection:
            unused.retract_llm_calls(connection, [f"{session}.{calls}"])
    else:
        analyse(store)


@contextmanager
def after(acts: list[Act]) -> Iterator[Store]:
    """Give a store with such a history, analysed."""
    with Store.in_memory() as store:
        for act in acts:
            perform(store, act)
        analyse(store)
        yield store


def of_rows(store: Store, key: str, scope: Scope) -> dict[object, dict[str, object]]:
    """Give the sums over rows by key."""
    return {row.pop("key"): row for row in sums(store, key, scope).to_dicts()}


def of_totals(totals: Totals) -> dict[str, object]:
    """Give the fields of totals by name."""
    return {name: getattr(totals, name) for name in Totals.__slots__}


WRITTEN: list[Act] = [("write", "s", 4, 0), ("analyse", "s", 1, 0)]


@settings(max_examples=8, deadline=None)
@example([*WRITTEN, ("rewrite", "s", 4, 1)])
@example([*WRITTEN, ("rewrite", "t", 4, 3)])
@example([*WRITTEN, ("rename", "s", 4, 0)])
@example([*WRITTEN, ("move", "s", 2, 0)])
@example([*WRITTEN, ("retract", "s", 2, 0)])
@given(st.lists(ACTS, max_size=8))
def test_cells_are_the_sums_over_rows_after_any_history(acts: list[Act]) -> None:
    """Batches, repeats, changed and moved calls, new names: cells give what the rows give."""
    with after(acts) as store:
        for scope in (EVERYTHING, Scope(source="one"), Scope(user="ann"), Scope(tag="b")):
            agents = {row.agent: of_totals(row.totals) for row in rollups.agents(store, scope)}
            assert agents == of_rows(store, "coalesce(a.name, 'unknown')", scope)
            models = {row.model: of_totals(row.totals) for row in rollups.models(store, scope)}
            assert models == of_rows(store, "c.model", scope)
            found = rollups.sessions(store, scope)
            sessions = {row.session_id: of_totals(row.totals) for row in found}
            assert sessions == of_rows(store, "c.session_id", scope)


def test_an_older_database_has_its_cells_made_by_the_first_analysis() -> None:
    """A database without cells shows the same sums once it was analysed."""
    with after([("write", "s", 4, 0), ("write", "t", 3, 1)]) as store:
        before = rollups.sessions(store)
        with store.transaction() as connection:
            for table in ("cells", "cell_reasons", "session_times"):
                connection.execute(f"DELETE FROM {table}")
            for source in ("one", "two"):
                cells.mark_source(connection, source)
        assert rollups.totals(store).calls == 0
        analyse(store)
        assert rollups.sessions(store) == before


def test_a_page_of_sessions_is_a_part_of_the_whole_list() -> None:
    """Pages of one session each, one behind the other, are the list; a page past its end is not."""
    with after([("write", "s", 2, 0), ("write", "t", 2, 1), ("move", "t", 1, 0)]) as store:
        whole = rollups.sessions(store)
        pages = [rollups.sessions(store, limit=1, offset=place) for place in range(len(whole) + 1)]
        assert [row for page in pages for row in page] == list(whole)
        assert len(whole) == 3
