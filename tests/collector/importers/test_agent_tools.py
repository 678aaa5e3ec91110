"""Coding agents' own session files: calls, prompts, tools with results, and sub-agents."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from phasewise_collector.importers import gemini_cli
from phasewise_collector.importers.importer import Importer, Note, Skipped, Trace
from phasewise_store.facts import Batch, LlmCall

MODEL = "gemini-2.5-pro"


def lines(rows: Iterable[object]) -> bytes:
    """Write one JSON value a line."""
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def read(importer: Importer, data: bytes, path: str) -> tuple[Batch, list[str], list[Skipped]]:
    """Read a file that its importer recognises; give facts, notes and what was skipped."""
    assert importer.recognises(data[: 1 << 16], Path(path))
    found = list(importer.read(Trace(Path(path), "ab" * 32, data)))
    (batch,) = (part for part in found if isinstance(part, Batch))
    notes = [part.text for part in found if isinstance(part, Note)]
    return batch, notes, [part for part in found if isinstance(part, Skipped)]


def messages(call: LlmCall) -> list[dict[str, Any]]:
    """Give a call's prompt as messages."""
    return [json.loads(segment.content or b"") for segment in call.prompt]


def goes_on(earlier: LlmCall, later: LlmCall) -> bool:
    """Say whether a prompt begins with an earlier prompt and its answer."""
    known = (*earlier.prompt, *earlier.output)
    return later.prompt[: len(known)] == known


HEAD = {
    "sessionId": "9d1f7c52-0000-4000-8000-000000000001",
    "projectHash": "a1b2",
    "startTime": "2026-09-01T10:00:00.000Z",
    "kind": "main",
}


def gemini_user(message_id: str, second: int, said: str) -> dict[str, object]:
    """Make a user's message."""
    content = [{"text": said}]
    at = f"2026-09-01T10:00:{second:02d}.000Z"
    return {"id": message_id, "timestamp": at, "type": "user", "content": content}


def gemini_answer(
    message_id: str, second: int, said: str, *, tools: Sequence[object] = (), read: int = 1000
) -> dict[str, object]:
    """Make an answer with its tokens and the results of its tools."""
    return {
        "id": message_id,
        "timestamp": f"2026-09-01T10:00:{second:02d}.000Z",
        "type": "gemini",
        "content": said,
        "model": MODEL,
        "thoughts": [{"subject": "s", "description": "d", "timestamp": "x"}],
        "tokens": {
            "input": read,
            "output": 50,
            "cached": 400,
            "thoughts": 200,
            "tool": 0,
            "total": read + 250,
        },
        "toolCalls": list(tools),
    }


GEMINI_TOOL = {
    "id": "read_file-1",
    "name": "read_file",
    "args": {"path": "a.py"},
    "status": "success",
    "timestamp": "2026-09-01T10:00:06.500Z",
    "result": [
        {
            "functionResponse": {
                "id": "read_file-1",
                "name": "read_file",
                "response": {"output": "x"},
            }
        }
    ],
}


def test_gemini_lines_give_calls_with_tools() -> None:
    """The last version of a message holds; thoughts are output; a tool's time is known."""
    without = gemini_answer("m2", 5, "looking")
    rows = [
        HEAD,
        gemini_user("m1", 0, "hi"),
        {**without, "tokens": None},
        without,
        gemini_answer("m2", 5, "looking", tools=[GEMINI_TOOL]),
        {"$set": {"lastUpdated": "2026-09-01T10:00:06.000Z", "summary": "Reads a file"}},
        gemini_answer("m3", 9, "done", read=1300),
    ]
    batch, _, skipped = read(gemini_cli, lines(rows), "chats/session-9d1f7c52.jsonl")
    first, second = batch.llm_calls
    assert skipped == []
    assert [call.usage.output_tokens for call in batch.llm_calls] == [250, 250]
    assert [call.usage.reasoning_tokens for call in batch.llm_calls] == [200, 200]
    assert first.usage.cache_read_tokens == 400
    assert first.duration_ns == 5_000_000_000
    assert second.duration_ns == 2_500_000_000
    assert goes_on(first, second)
    assert messages(second)[-1] == {
        "role": "tool",
        "tool_call_id": "read_file-1",
        "content": "x",
        "name": "read_file",
    }
    (tool,) = batch.tool_calls
    assert (tool.name, tool.duration_ns, tool.error) == ("read_file", 1_500_000_000, None)
    assert [session.name for session in batch.sessions] == ["Reads a file"]
    assert {call.session_id for call in batch.llm_calls} == {HEAD["sessionId"]}


def test_what_gemini_took_back_was_paid_all_the_same() -> None:
    """A rewound answer stays a call, and no later prompt holds it; a compression too."""
    rows = [
        HEAD,
        gemini_user("m1", 0, "hi"),
        gemini_answer("m2", 2, "no"),
        {"$rewindTo": "m2"},
        gemini_answer("m3", 4, "yes"),
        {"$set": {"messages": [gemini_user("sum", 5, "in short: yes")]}},
        gemini_answer("m4", 6, "so it is"),
    ]
    batch, _, _ = read(gemini_cli, lines(rows), "chats/session-x.jsonl")
    assert len(batch.llm_calls) == 3
    said = [[message["content"] for message in messages(call)] for call in batch.llm_calls]
    assert said == [["hi"], ["hi"], ["in short: yes"]]


def test_the_document_of_older_gemini_cli_gives_the_same_calls() -> None:
    """One JSON document, also indented, with names that later files have too."""
    told = [gemini_user("m1", 0, "hi"), gemini_answer("m2", 5, "yo", tools=[GEMINI_TOOL])]
    old = json.dumps({**HEAD, "messages": told}, indent=2).encode()
    before, _, _ = read(gemini_cli, old, "chats/session-x.json")
    after, _, _ = read(gemini_cli, lines([HEAD, *told]), "chats/session-x.jsonl")
    assert before.llm_calls == after.llm_calls
    assert before.tool_calls == after.tool_calls


def test_a_gemini_sub_agent_stands_in_its_parents_session() -> None:
    """Its file lies in a folder that is named after the session."""
    rows = [
        {**HEAD, "sessionId": "agent-7", "kind": "subagent"},
        gemini_user("s1", 0, "look"),
        gemini_answer("s2", 3, "found"),
    ]
    batch, _, _ = read(gemini_cli, lines(rows), f"chats/{HEAD['sessionId']}/agent-7.jsonl")
    (call,) = batch.llm_calls
    agents = {agent.agent_id: agent for agent in batch.agents}
    parent = agents[agents[call.agent_id].parent_agent_id or ""]
    assert call.session_id == HEAD["sessionId"]
    assert (agents[call.agent_id].name, parent.name) == ("sub-agent", "gemini-cli")
