"""A database of before calls had identities is mended when it is opened."""

from dataclasses import replace

import pytest
from phasewise_store import doubles, reads
from phasewise_store.facts import Batch, Source
from phasewise_store.statements import run
from phasewise_store.store import Store

from tests.store.facts_for_tests import growing_session

RECORDED = "5f3c0000-0000-4000-8000-000000000001"


def as_before(batch: Batch, digits: str, form: str, *, ids: bool) -> Batch:
    """Give what an import wrote of a file with this hash: no keys, the hash behind the session."""
    session = f"{RECORDED}-{digits}"
    calls = tuple(
        replace(
            call,
            call_id=f"{session}.{call.step}",
            session_id=session,
            agent_id=f"{session}/main",
            started_ns=call.step * 10**9,
            response_id=f"msg_{call.step}" if ids else None,
        )
        for call in batch.llm_calls
    )
    return Batch(
        Source(digits * 8, form, form, f"{digits}.jsonl"),
        sessions=tuple(replace(one, session_id=session) for one in batch.sessions),
        agents=tuple(
            replace(one, agent_id=f"{session}/main", session_id=session) for one in batch.agents
        ),
        llm_calls=calls,
    )


@pytest.mark.parametrize(("form", "ids"), [("claude-code", True), ("codex", False)])
def test_copies_of_a_file_that_grew_are_merged(store: Store, form: str, ids: bool) -> None:
    """Two calls, then the same two and a third: three calls in the recorded session, with keys."""
    store.write(as_before(growing_session(2), "0a1b2c3d", form, ids=False))
    store.write(as_before(growing_session(3), "4e5f6a7b", form, ids=False))
    with store.transaction() as connection:
        if ids:
            run(connection, "UPDATE llm_calls SET response_id = 'msg_' || step")
        done = doubles.mend(connection)
    assert done == doubles.Mended(calls=2, sessions=1)
    calls = reads.llm_calls(store)
    assert calls.get_column("session_id").unique().to_list() == [RECORDED]
    assert calls.get_column("agent").unique().to_list() == ["main"]
    assert store.frame("SELECT count(DISTINCT key) FROM call_identities").item() == 3
    for call in calls.get_column("call_id"):
        assert reads.prompt(store, call)


def test_a_session_read_once_keeps_all_it_has(store: Store) -> None:
    """Calls that are alike in one file, and those of data sets, are no doubles."""
    store.write(growing_session(3))
    store.write(as_before(growing_session(2), "0a1b2c3d", "codex", ids=False))
    with store.transaction() as connection:
        assert doubles.mend(connection) == doubles.Mended()
    assert reads.llm_calls(store).height == 5
