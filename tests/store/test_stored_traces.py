"""What the collector's loader needs of the store: rewriting, taking back, numbering, progress."""

import dataclasses
from pathlib import Path

import pytest
from phasewise_store import log_progress, reads, steps, stored_traces, unused
from phasewise_store.facts import Agent, Batch, Session, Span, ToolCall
from phasewise_store.log_progress import Account, LogProgress
from phasewise_store.store import Store

from tests.store.facts_for_tests import SOURCE, growing_session


def test_a_call_rewritten_without_its_prompt_keeps_it(store: Store) -> None:
    """Moving a call to another session needs no prompt at hand: the stored one stays."""
    batch = growing_session(3)
    store.write(batch)
    moved = dataclasses.replace(batch.llm_calls[2], session_id="s9", prompt=(), output=())
    store.rewrite(dataclasses.replace(batch, llm_calls=(moved,)))
    assert reads.prompt(store, "s1-2") == batch.llm_calls[2].prompt
    assert reads.output(store, "s1-2") == batch.llm_calls[2].output
    assert reads.llm_calls(store)["session_id"].to_list() == ["s1", "s1", "s9"]


def test_calls_and_spans_of_a_trace_come_back_as_they_were(store: Store) -> None:
    """What is read back of a trace equals what was written, but for prompt and output."""
    call = dataclasses.replace(
        growing_session(1).llm_calls[0], trace_id="t" * 32, span_id="a" * 16, request={"n": 1}
    )
    span = Span("t" * 32, "a" * 16, None, "chat", "client", 5, 9, attributes={"x": [1, 2]})
    store.write(Batch(SOURCE, llm_calls=(call,), spans=(span,)))
    assert stored_traces.spans(store, ["t" * 32]) == [span]
    assert stored_traces.llm_calls(store, ["t" * 32]) == [
        dataclasses.replace(call, prompt=(), output=())
    ]


def test_a_retracted_call_leaves_no_empty_session(store: Store) -> None:
    """After the last call of a session is taken back, its session and agent are gone."""
    store.write(growing_session(2, "s1"))
    store.write(growing_session(1, "s2"))
    with store.transaction() as connection:
        unused.retract_llm_calls(connection, ["s1-0", "s1-1"])
        unused.drop_unused(connection, ["s1", "s2"])
    assert reads.sessions(store)["session_id"].to_list() == ["s2"]
    assert store.frame("SELECT agent_id FROM agents")["agent_id"].to_list() == ["s2/main"]


def test_steps_follow_start_times_whatever_order_calls_came_in(store: Store) -> None:
    """Calls are numbered by start in their session; a tool comes after its agent's last call."""
    batch = growing_session(3)
    starts = (300, 100, 200)
    calls = tuple(
        dataclasses.replace(call, step=0, started_ns=start)
        for call, start in zip(batch.llm_calls, starts, strict=True)
    )
    tools = (
        ToolCall("early", "s1", "s1/main", "look", started_ns=50),
        ToolCall("late", "s1", "s1/main", "look", started_ns=250),
        ToolCall("other", "s1", "s1/sub", "look", started_ns=250),
    )
    store.write(dataclasses.replace(batch, llm_calls=calls, tool_calls=tools))
    with store.transaction() as connection:
        steps.number(connection, ["s1"])
    assert reads.llm_calls(store)["step"].to_list() == [2, 0, 1]
    after = dict(
        store.frame("SELECT tool_call_id, after_step FROM tool_calls").iter_rows(named=False)
    )
    assert after == {"early": None, "late": 1, "other": None}


def test_progress_is_kept_or_lost_with_its_transaction(tmp_path: Path) -> None:
    """A crash between facts and progress leaves neither: both are one transaction."""
    progress = LogProgress("0001.log", offset_bytes=77, requests=2)
    account = Account("traces", 7, 5, 1, 1)
    with Store.open(tmp_path / "x.duckdb") as store:
        with store.transaction() as connection:
            log_progress.save(connection, progress, [account])
        with pytest.raises(ZeroDivisionError), store.transaction() as connection:
            log_progress.save(connection, dataclasses.replace(progress, offset_bytes=99), [account])
            _ = 1 // 0
    with Store.open(tmp_path / "x.duckdb") as store:
        assert log_progress.load(store) == {"0001.log": progress}
        assert log_progress.accounts(store) == [account]


def test_an_agent_with_only_sub_agents_stays(store: Store) -> None:
    """An orchestrator that calls no model itself is kept for its children's sake."""
    batch = growing_session(1)
    agents = (Agent("boss", "s1", "boss"), Agent("s1/main", "s1", "main", "boss"))
    store.write(dataclasses.replace(batch, sessions=(Session("s1"),), agents=agents))
    with store.transaction() as connection:
        unused.drop_unused(connection, ["s1"])
    assert store.frame("SELECT agent_id FROM agents").height == 2
