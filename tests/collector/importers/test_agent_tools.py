"""Coding agents' own session files: calls, prompts, tools with results, and sub-agents."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from phasewise_collector.importers import codex_exec, detect, gemini_cli, mini_swe_agent
from phasewise_collector.importers.importer import Importer, Note, Skipped, Trace
from phasewise_store.facts import Batch, LlmCall

MODEL = "gemini-2.5-pro"


def lines(rows: Iterable[object]) -> bytes:
    """Write one JSON value a line."""
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def read(importer: Importer, data: bytes, path: str) -> tuple[Batch, list[str], list[Skipped]]:
    """Read a file that its importer alone recognises; give facts, notes and what was skipped."""
    assert detect.recognised(data[: 1 << 16], Path(path)) is importer
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


_WITHOUT = gemini_answer("m2", 5, "looking")
GEMINI_ROWS: list[dict[str, object]] = [
    dict(HEAD),
    gemini_user("m1", 0, "hi"),
    {**_WITHOUT, "tokens": None},
    _WITHOUT,
    gemini_answer("m2", 5, "looking", tools=[GEMINI_TOOL]),
    {"$set": {"lastUpdated": "2026-09-01T10:00:06.000Z", "summary": "Reads a file"}},
    gemini_answer("m3", 9, "done", read=1300),
]


def test_gemini_lines_give_calls_with_tools() -> None:
    """The last version of a message holds; thoughts are output; a tool's time is known."""
    batch, _, skipped = read(gemini_cli, lines(GEMINI_ROWS), "chats/session-9d1f7c52.jsonl")
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


def test_a_codex_turns_usage_is_what_it_adds() -> None:
    """The printed usage counts from the thread's start, also after a resume in the same file."""
    thread = {"type": "thread.started", "thread_id": "0199a000-0000-7000-8000-000000000001"}
    command = {
        "id": "item_0",
        "type": "command_execution",
        "command": "bash -lc ls",
        "aggregated_output": "a.py",
        "exit_code": 1,
        "status": "failed",
    }
    mcp = {"id": "item_1", "type": "mcp_tool_call", "server": "docs", "tool": "search"}
    said = {"id": "item_2", "type": "agent_message", "text": "done"}

    def done(read: int, hit: int, out: int, thought: int) -> dict[str, object]:
        usage = {
            "input_tokens": read,
            "cached_input_tokens": hit,
            "output_tokens": out,
            "reasoning_output_tokens": thought,
        }
        return {"type": "turn.completed", "usage": usage}

    rows = [
        thread,
        {"type": "turn.started"},
        {"type": "item.started", "item": command | {"status": "in_progress"}},
        *({"type": "item.completed", "item": item} for item in (command, mcp, said)),
        done(16504, 4000, 20, 5),
        thread,
        done(85681, 60000, 40, 9),
    ]
    batch, notes, _ = read(codex_exec, lines(rows), "exec.jsonl")
    usages = [call.usage for call in batch.llm_calls]
    assert [usage.input_tokens for usage in usages] == [16504, 69177]
    assert [usage.cache_read_tokens for usage in usages] == [4000, 56000]
    assert [usage.output_tokens for usage in usages] == [20, 20]
    assert [usage.reasoning_tokens for usage in usages] == [5, 4]
    first = batch.llm_calls[0].call_id
    assert [
        (tool.name, tool.error, tool.arguments, tool.result, tool.asked_by)
        for tool in batch.tool_calls
    ] == [
        ("shell", "failed", "bash -lc ls", "a.py", first),
        ("docs.search", None, None, None, first),
    ]
    assert len(batch.sessions) == 1
    assert any("all requests of a turn" in note for note in notes)


def mini_response(number: int, *, tool: bool) -> dict[str, Any]:
    """Make a response as LiteLLM gives it."""
    called = {
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": "bash", "arguments": '{"command": "ls"}'},
    }
    message = {"role": "assistant", "content": "I look", "tool_calls": [called] if tool else None}
    return {
        "id": f"chatcmpl-{number}",
        "created": 1788000000,
        "model": "claude-sonnet-4-5-20250929",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}],
        "usage": {
            "prompt_tokens": 1000 * number,
            "completion_tokens": 20,
            "total_tokens": 1000 * number + 20,
            "prompt_tokens_details": {"cached_tokens": 600},
            "cache_creation_input_tokens": 100,
        },
    }


def mini_run(messages: Sequence[object], model: str = "anthropic/claude-sonnet-4-5") -> bytes:
    """Make a trajectory."""
    info = {
        "model_stats": {"instance_cost": 0.01, "api_calls": 2},
        "mini_version": "2.4.6",
        "exit_status": "Submitted",
        "config": {"model": {"model_name": model}},
    }
    whole = {"info": info, "messages": messages, "trajectory_format": "mini-swe-agent-1.1"}
    return json.dumps(whole, indent=2).encode()


MINI_START = [{"role": "system", "content": "You are"}, {"role": "user", "content": "fix"}]


def test_mini_swe_agent_gives_each_answers_usage() -> None:
    """With tools and cost; an answer in a wrong format was paid, and is in no later prompt."""
    wrong, right = mini_response(1, tool=False), mini_response(2, tool=True)
    message = right["choices"][0]["message"]
    messages = [
        *MINI_START,
        {
            "role": "user",
            "content": "Every response MUST include a tool call.",
            "extra": {"interrupt_type": "FormatError", "cost": 0.001, "response": wrong},
        },
        {**message, "extra": {"response": right, "cost": 0.002, "timestamp": 1788000009.5}},
        {
            "role": "tool",
            "tool_call_id": "call_2",
            "content": "<output>a.py</output>",
            "extra": {"timestamp": 1788000010.5, "returncode": 0},
        },
        {"role": "exit", "content": "done", "extra": {"exit_status": "Submitted"}},
    ]
    batch, _, skipped = read(mini_swe_agent, mini_run(messages), "django-1.traj.json")
    assert skipped == []
    first, second = batch.llm_calls
    assert [call.usage.input_tokens for call in batch.llm_calls] == [1000, 2000]
    assert [call.usage.cache_read_tokens for call in batch.llm_calls] == [600, 600]
    assert [call.usage.cache_write_5m_tokens for call in batch.llm_calls] == [100, 100]
    assert [call.reported_cost_usd for call in batch.llm_calls] == [0.001, 0.002]
    assert [call.model for call in batch.llm_calls] == ["claude-sonnet-4-5-20250929"] * 2
    assert {call.provider for call in batch.llm_calls} == {"anthropic"}
    assert second.prompt[: len(first.prompt)] == first.prompt
    assert len(second.prompt) == len(first.prompt) + 1
    assert [tool.name for tool in batch.tool_calls] == ["bash"]
    assert batch.sessions[0].outcome == "Submitted"


def test_mini_swe_agent_with_the_responses_api() -> None:
    """A response is a message of the history itself; a result says its tool."""
    response = {
        "object": "response",
        "id": "resp_1",
        "created_at": 1788000000,
        "model": "gpt-5.4",
        "output": [
            {"type": "function_call", "name": "bash", "call_id": "c1", "arguments": "{}"},
        ],
        "usage": {
            "input_tokens": 900,
            "output_tokens": 30,
            "input_tokens_details": {"cached_tokens": 512},
            "output_tokens_details": {"reasoning_tokens": 10},
        },
        "extra": {"cost": 0.003, "timestamp": 1788000003.0, "actions": [{"command": "ls"}]},
    }
    result = {"type": "function_call_output", "call_id": "c1", "output": "a.py", "extra": {}}
    later = {**response, "id": "resp_2", "output": [{"type": "message", "role": "assistant"}]}
    data = mini_run([*MINI_START, response, result, later], "openai/gpt-5.4")
    batch, _, _ = read(mini_swe_agent, data, "x.traj.json")
    first, second = batch.llm_calls
    assert (first.usage.input_tokens, first.usage.cache_read_tokens) == (900, 512)
    assert first.usage.reasoning_tokens == 10
    assert goes_on(first, second)
    assert [tool.name for tool in batch.tool_calls] == ["bash"]
    assert messages(second)[-1] == {
        "role": "tool",
        "name": "bash",
        "tool_call_id": "c1",
        "content": "a.py",
    }
