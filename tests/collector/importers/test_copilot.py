"""Copilot CLI's sessions: calls share what the session's sums state, sub-agents are nested."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from phasewise_collector.importers import copilot_cli
from phasewise_collector.importers.apportioning import shares
from phasewise_store.facts import Batch

from tests.collector.importers.test_agent_tools import goes_on, lines, messages, read

SESSION = "0c1f7d52-0000-4000-8000-000000000001"
MODEL = "claude-sonnet-4.5"


def event(second: int, kind: str, *, agent: str | None = None, **data: object) -> dict[str, Any]:
    """Make an event."""
    made: dict[str, Any] = {
        "type": kind,
        "data": data,
        "id": f"e{second}{kind}",
        "timestamp": f"2026-09-01T10:00:{second:02d}.000Z",
        "parentId": None,
    }
    return made | ({"agentId": agent} if agent else {})


def answer(
    second: int, said: str, out: int, *, agent: str | None = None, **data: object
) -> dict[str, Any]:
    """Make an answer."""
    fields = {"messageId": f"m{second}", "content": said, "outputTokens": out, "model": MODEL}
    return event(second, "assistant.message", agent=agent, **{**fields, **data})


def shutdown(second: int, requests: int, read_tokens: int, hit: int, stored: int) -> dict[str, Any]:
    """Make the event with the sums of a process."""
    usage = {
        "inputTokens": read_tokens,
        "outputTokens": 1,
        "cacheReadTokens": hit,
        "cacheWriteTokens": stored,
    }
    metrics = {MODEL: {"requests": {"count": requests, "cost": 1}, "usage": usage}}
    return event(second, "session.shutdown", shutdownType="routine", modelMetrics=metrics)


START = [
    event(0, "session.start", sessionId=SESSION, version=1, context={"cwd": "app"}),
    event(0, "system.message", role="system", content="You are Copilot"),
    event(1, "user.message", content="fix", transformedContent="<now>fix</now>"),
]
TASK = {"toolCallId": "tool_1", "name": "task", "arguments": {"agent": "explore"}}
TOLD = [
    *START,
    answer(3, "", 40, toolRequests=[TASK]),
    event(4, "subagent.started", agent="a-7", toolCallId="tool_1", agentName="explore"),
    event(4, "user.message", agent="a-7", content="look"),
    answer(6, "seen", 10, agent="a-7"),
    event(
        7, "tool.execution_complete", toolCallId="tool_1", success=True, result={"content": "ok"}
    ),
    answer(9, "done", 20),
]


def copilot(*more: dict[str, Any]) -> tuple[Batch, list[str]]:
    """Read the session with more events."""
    batch, notes, skipped = read(copilot_cli, lines([*TOLD, *more]), f"{SESSION}/events.jsonl")
    assert skipped == []
    return batch, notes


def test_a_copilot_session_gives_calls_and_nested_agents() -> None:
    """Output is stated; the prompt goes on; the tool's result has its name and time."""
    batch, notes = copilot()
    first, side, last = batch.llm_calls
    assert [call.usage.output_tokens for call in batch.llm_calls] == [40, 10, 20]
    assert {call.session_id for call in batch.llm_calls} == {SESSION}
    agents = {agent.agent_id: agent for agent in batch.agents}
    assert (agents[side.agent_id].name, agents[side.agent_id].parent_agent_id) == (
        "explore",
        first.agent_id,
    )
    assert goes_on(first, last)
    assert [message["role"] for message in messages(last)] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]
    assert messages(last)[1]["content"] == "<now>fix</now>"
    assert messages(last)[3]["name"] == "task"
    assert first.duration_ns == 2_000_000_000
    assert [(tool.name, tool.duration_ns) for tool in batch.tool_calls] == [("task", 4_000_000_000)]
    assert any("estimated from text" in note for note in notes)


def test_the_sums_of_a_session_are_the_sums_of_its_calls() -> None:
    """To the last token, cached ones too; each call's share is an estimate, and is called one."""
    batch, notes = copilot(shutdown(10, 3, 50_001, 30_000, 7))
    usages = [call.usage for call in batch.llm_calls]
    assert sum(usage.input_tokens for usage in usages) == 50_001
    assert sum(usage.cache_read_tokens for usage in usages) == 30_000
    assert sum(usage.cache_write_5m_tokens for usage in usages) == 7
    assert {usage.origin for usage in usages} == {"estimated"}
    assert any("distributed from the session totals" in note for note in notes)


def test_a_resumed_session_has_sums_of_its_own_or_goes_on_with_them() -> None:
    """How many requests the second sum stands for says which of the two."""
    for requests, second in ((1, 9_000), (4, 59_001)):
        batch, _ = copilot(
            shutdown(10, 3, 50_001, 0, 0),
            event(11, "user.message", content="more"),
            answer(12, "yes", 5),
            shutdown(13, requests, second, 0, 0),
        )
        assert sum(call.usage.input_tokens for call in batch.llm_calls[:3]) == 50_001
        assert batch.llm_calls[3].usage.input_tokens == 9_000


def test_usage_that_one_call_states_is_that_calls_own() -> None:
    """The rest of the sum is shared among the others."""
    usage = event(
        9,
        "assistant.usage",
        model=MODEL,
        inputTokens=1000,
        cacheReadTokens=600,
        outputTokens=20,
    )
    batch, _ = copilot(usage, shutdown(10, 3, 3000, 600, 0))
    last = batch.llm_calls[-1].usage
    assert (last.origin, last.input_tokens, last.cache_read_tokens) == ("reported", 1000, 600)
    assert sum(call.usage.input_tokens for call in batch.llm_calls) == 3000


@given(st.integers(0, 10**9), st.lists(st.integers(1, 10**6), min_size=1, max_size=40))
def test_shares_add_up(total: int, weights: list[int]) -> None:
    """And none is further than one from its exact share."""
    found = shares(total, weights)
    assert sum(found) == total
    assert all(
        abs(part * sum(weights) - total * weight) < sum(weights)
        for part, weight in zip(found, weights, strict=True)
    )
