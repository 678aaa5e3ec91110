"""Stored sessions as a workload of the engine model: order, waits, prompts and drafts."""

import pytest
from phasewise_analyzer.engine.runs.closed_loop import serve_graphs
from phasewise_analyzer.engine.runs.engine_run import EngineRun
from phasewise_analyzer.engine.runs.fleet import RoutedEngines
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.speculation.config import NgramConfig
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.sessions import stored_workload
from phasewise_replay.sessions.stored_workload import StoredWorkload
from phasewise_store.errors import UsageError
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from tests.analyzer.engine.made_up_times import MadeUpTimes
from tests.replay.recorded import (
    SOURCE,
    write_hashed_sessions,
    write_repeating_sessions,
    write_sessions,
    write_sub_agents,
)


def load(
    store: Store, *, agent: str | None = None, limit: int | None = None, tool_time: float = 1.0
) -> StoredWorkload:
    """Read the recorded sessions for an engine with blocks of 16 tokens."""
    choice = SessionChoice(source=SOURCE, limit=limit)
    return stored_workload.load(store, choice, agent=agent, block_tokens=16, tool_time=tool_time)


def test_calls_wait_for_those_they_waited_for(store: Store) -> None:
    """A parent calls, two sub-agents work beside each other, and the parent goes on after both.

    Recorded waits: 2 and 3 s after the parent, 5 s between a's calls, 5 s after the last of all.
    """
    write_sub_agents(store, 2)
    found = load(store)
    assert found.call_ids[:5] == ("s0.p0", "s0.a0", "s0.b0", "s0.a1", "s0.p1")
    places = [(call.after, call.request.arrival_s) for call in found.sessions[0]]
    assert places == [((), 0.0), ((0,), 2.0), ((0,), 3.0), ((1,), 5.0), ((0, 3, 2), 5.0)]
    fleet = RoutedEngines([EngineRun(MadeUpTimes(), SchedulerConfig(), blocks=None)])
    first, a, b, later, last, *second = serve_graphs(found.sessions, fleet, at_once=1)
    assert (a.arrival_s, b.arrival_s) == (first.last_s + 2, first.last_s + 3)
    assert later.arrival_s == a.last_s + 5
    assert last.arrival_s == max(b.last_s, later.last_s) + 5
    assert second[0].arrival_s == last.last_s


def test_an_agent_s_calls_wait_for_each_other_alone(store: Store) -> None:
    """Without its parent a sub-agent starts with the session; half of its waits is kept."""
    write_sub_agents(store, 2)
    found = load(store, agent="a", tool_time=0.5)
    assert found.call_ids == ("s0.a0", "s0.a1", "s1.a0", "s1.a1")
    places = [(call.after, call.request.arrival_s) for call in found.sessions[0]]
    assert places == [((), 1.0), ((0,), 2.5)]
    with pytest.raises(UsageError, match="no calls of an agent `nobody`"):
        load(store, agent="nobody")


def test_equal_starts_of_prompts_have_equal_blocks(store: Store) -> None:
    """A session's prompts grow; all share the system prompt of 304 tokens, 19 blocks."""
    write_sessions(store, 2)
    found = load(store)
    first, second, *_ = (call.request.digests for call in found.sessions[0])
    assert second[: len(first)] == first
    other = found.sessions[1][0].request.digests
    shared = [one == another for one, another in zip(first, other, strict=False)]
    assert shared.index(False) == sum(shared) > 15
    assert len(load(store, limit=1).sessions) == 1


def test_drafts_are_computed_on_the_text(store: Store) -> None:
    """The calls whose text repeats the prompt draft, and reported lengths are kept."""
    write_repeating_sessions(store, 2)
    found = load(store)
    said = stored_workload.computed(
        store, Scope(source=SOURCE), found.call_ids, NgramConfig(4, 2, 4)
    )
    assert said.basis == "computed on estimated tokens (pieces of text)"
    assert said.calls_without_text == 0
    drafted = stored_workload.with_drafts(found, said)
    (_, answer), _ = drafted.sessions
    assert answer.request.drafts is said.drafts["s0.1"]
    assert len(said.drafts["s0.1"].drafted) == answer.request.output_tokens == 30
    # 22 captured tokens in five steps, of which four draft: seven steps for 30
    assert said.drafts["s0.1"].steps().acceptance().accepted == 20


def test_without_text_an_acceptance_length_is_assumed(store: Store) -> None:
    """Nothing can be computed, and the text says what to do; an assumption is named."""
    write_hashed_sessions(store, 1, 2)
    found = load(store)
    with pytest.raises(UsageError, match=r"has no text.*--acceptance-length"):
        stored_workload.computed(store, Scope(source=SOURCE), found.call_ids, NgramConfig(4))
    said = stored_workload.assumed(found, NgramConfig(4), 2.0)
    assert said.basis == "assumed acceptance length 2"
    assert said.drafts["s0.1"].accepted.tolist()[:4] == [0, 1, 1, 1]
