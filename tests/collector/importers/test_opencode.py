"""OpenCode's sessions: storage folder, databases and exports give the same calls."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from phasewise_collector.importers.opencode_messages import usage_in
from phasewise_collector.importing import import_paths
from phasewise_store import reads
from phasewise_store.store import Store

T0 = 1788000000000
SESSIONS: dict[str, dict[str, Any]] = {
    "ses_1": {"id": "ses_1", "projectID": "p", "directory": "d", "title": "Fix", "version": "1.1"},
    "ses_2": {
        "id": "ses_2",
        "projectID": "p",
        "directory": "d",
        "title": "Explore",
        "version": "1.1",
        "parentID": "ses_1",
    },
}
for _fields in SESSIONS.values():
    _fields["time"] = {"created": T0, "updated": T0}


def asked(message_id: str, session: str, at: int, said: str) -> tuple[dict[str, Any], list[Any]]:
    """Make a user's message with its parts."""
    info = {
        "id": message_id,
        "sessionID": session,
        "role": "user",
        "time": {"created": T0 + at},
        "agent": "build",
    }
    return info, [{"type": "text", "text": said}]


def answered(
    message_id: str, session: str, at: int, said: str, *, agent: str = "build", tool: bool = False
) -> tuple[dict[str, Any], list[Any]]:
    """Make an answer with its parts."""
    tokens = {"input": 10, "output": 20, "reasoning": 0, "cache": {"read": 600, "write": 100}}
    info = {
        "id": message_id,
        "sessionID": session,
        "role": "assistant",
        "time": {"created": T0 + at, "completed": T0 + at + 2000},
        "modelID": "claude-sonnet-4-5",
        "providerID": "anthropic",
        "mode": agent,
        "cost": 0.0023,
        "tokens": tokens,
        "finish": "tool-calls" if tool else "stop",
    }
    parts: list[Any] = [{"type": "step-start"}, {"type": "text", "text": said}]
    if tool:
        parts.append(
            {
                "type": "tool",
                "callID": "toolu_1",
                "tool": "bash",
                "state": {
                    "status": "completed",
                    "input": {"command": "ls"},
                    "output": "a.py",
                    "title": "ls",
                    "metadata": {},
                    "time": {"start": T0 + at + 1500, "end": T0 + at + 1900},
                },
            }
        )
    parts.append({"type": "step-finish", "reason": "stop", "cost": 0.0023, "tokens": tokens})
    return info, parts


TOLD = [
    asked("msg_1", "ses_1", 0, "fix it"),
    answered("msg_2", "ses_1", 100, "looking", tool=True),
    asked("msg_3", "ses_2", 150, "explore"),
    answered("msg_4", "ses_2", 200, "explored", agent="explore"),
    answered("msg_5", "ses_1", 3000, "fixed"),
]


def write(path: Path, value: object) -> None:
    """Write a JSON file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2))


def storage(folder: Path) -> Path:
    """Write the storage folder."""
    for session_id, session in SESSIONS.items():
        write(folder / "storage/session/p" / f"{session_id}.json", session)
    for info, parts in TOLD:
        message = info["id"]
        write(folder / "storage/message" / info["sessionID"] / f"{message}.json", info)
        for number, part in enumerate(parts):
            part_id = f"prt_{message}_{number}"
            whole = {"id": part_id, "messageID": message, "sessionID": info["sessionID"], **part}
            write(folder / "storage/part" / message / f"{part_id}.json", whole)
    return folder / "storage"


def database(folder: Path) -> Path:
    """Write the database of versions before 2."""
    path = folder / "opencode.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE session (id TEXT, parent_id TEXT, title TEXT)")
        connection.execute(
            "CREATE TABLE message (id TEXT, session_id TEXT, time_created INT, data TEXT)"
        )
        connection.execute(
            "CREATE TABLE part (id TEXT, message_id TEXT, session_id TEXT, data TEXT)"
        )
        for one in SESSIONS.values():
            connection.execute(
                "INSERT INTO session VALUES (?, ?, ?)",
                (one["id"], one.get("parentID"), one["title"]),
            )
        for info, parts in TOLD:
            kept = {key: value for key, value in info.items() if key not in ("id", "sessionID")}
            connection.execute(
                "INSERT INTO message VALUES (?, ?, ?, ?)",
                (info["id"], info["sessionID"], info["time"]["created"], json.dumps(kept)),
            )
            for number, part in enumerate(parts):
                row = (
                    f"prt_{info['id']}_{number}",
                    info["id"],
                    info["sessionID"],
                    json.dumps(part),
                )
                connection.execute("INSERT INTO part VALUES (?, ?, ?, ?)", row)
    return path


def newer_database(folder: Path) -> Path:
    """Write the database of version 2."""
    path = folder / "opencode.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE session_v2 (id TEXT, parent_id TEXT, title TEXT)")
        connection.execute(
            "CREATE TABLE session_message (id TEXT, session_id TEXT, type TEXT, seq INT, data TEXT)"
        )
        for one in SESSIONS.values():
            connection.execute(
                "INSERT INTO session_v2 VALUES (?, ?, ?)",
                (one["id"], one.get("parentID"), one["title"]),
            )
        for number, (info, parts) in enumerate(TOLD):
            row = (
                info["id"],
                info["sessionID"],
                kind_of(info),
                number,
                json.dumps(newer(info, parts)),
            )
            connection.execute("INSERT INTO session_message VALUES (?, ?, ?, ?, ?)", row)
    return path


def kind_of(info: dict[str, Any]) -> str:
    """Give the type that version 2 gives a message."""
    return str(info["role"])


def newer(info: dict[str, Any], parts: list[Any]) -> dict[str, Any]:
    """Write a message as version 2 does."""
    if info["role"] == "user":
        return {"time": info["time"], "text": parts[0]["text"]}
    content = []
    for part in parts:
        if part["type"] == "text":
            content.append({"type": "text", "id": "t", "text": part["text"]})
        elif part["type"] == "tool":
            state = part["state"]
            content.append(
                {
                    "type": "tool",
                    "id": part["callID"],
                    "name": part["tool"],
                    "state": {
                        "status": "completed",
                        "input": state["input"],
                        "content": [{"type": "text", "text": state["output"]}],
                        "structured": {},
                    },
                    "time": {
                        "created": state["time"]["start"],
                        "ran": state["time"]["start"],
                        "completed": state["time"]["end"],
                    },
                }
            )
    model = {"id": info["modelID"], "providerID": info["providerID"]}
    kept = {key: info[key] for key in ("time", "cost", "tokens", "finish")}
    return {**kept, "agent": info["mode"], "model": model, "content": content}


def exported(folder: Path) -> Path:
    """Write what `opencode export` prints of each session."""
    for session_id, session in SESSIONS.items():
        told = [
            {"info": info, "parts": parts}
            for info, parts in TOLD
            if info["sessionID"] == session_id
        ]
        write(folder / "exports" / f"{session_id}.json", {"info": session, "messages": told})
    return folder / "exports"


EXPORTED = {
    "info": SESSIONS["ses_1"],
    "messages": [{"info": info, "parts": parts} for info, parts in TOLD],
}

CALLS = """
SELECT c.call_id, c.session_id, a.name AS agent, p.name AS parent, c.model, c.input_tokens,
       c.cache_read_tokens, c.output_tokens, c.started_ns, c.duration_ns, c.reported_cost_usd
FROM llm_calls c JOIN agents a USING (agent_id)
LEFT JOIN agents p ON p.agent_id = a.parent_agent_id ORDER BY c.started_ns
"""


@pytest.mark.parametrize("door", [storage, database, newer_database, exported])
def test_every_door_gives_the_same_calls(
    tmp_path: Path, store: Store, door: Callable[[Path], Path]
) -> None:
    """One session with a sub-agent in it, its tools, times and costs."""
    done = import_paths(store, [door(tmp_path)])
    assert (done.llm_calls, done.tool_calls, done.skipped) == (3, 1, [])
    calls = store.frame(CALLS).to_dicts()
    assert [call["call_id"] for call in calls] == ["ses_1.msg_2", "ses_1.msg_4", "ses_1.msg_5"]
    assert [call["agent"] for call in calls] == ["opencode", "explore", "opencode"]
    assert [call["parent"] for call in calls] == [None, "opencode", None]
    assert {call["session_id"] for call in calls} == {"ses_1"}
    assert [call["duration_ns"] for call in calls] == [1_500_000_000, 2_000_000_000, 2_000_000_000]
    assert {(call["input_tokens"], call["cache_read_tokens"]) for call in calls} == {(710, 600)}
    tool = store.frame("SELECT name, duration_ns FROM tool_calls").to_dicts()
    assert tool == [{"name": "bash", "duration_ns": 400_000_000}]


def test_a_prompt_goes_on_where_the_answer_before_it_ended(tmp_path: Path, store: Store) -> None:
    """The tool's result stands between them, with the tool's name."""
    import_paths(store, [storage(tmp_path)])
    prompt = [segment.content or b"" for segment in reads.prompt(store, "ses_1.msg_5")]
    told = [json.loads(content) for content in prompt]
    assert [message["role"] for message in told] == ["user", "assistant", "tool"]
    assert told[1]["tool_calls"][0]["function"] == {"name": "bash", "arguments": '{"command":"ls"}'}
    assert (told[2]["name"], told[2]["content"]) == ("bash", "a.py")


@pytest.mark.parametrize(
    ("tokens", "output"),
    [
        ({"input": 5, "output": 20, "reasoning": 8}, 20),
        ({"input": 5, "output": 20, "reasoning": 8, "total": 25}, 20),
        ({"input": 5, "output": 12, "reasoning": 8, "total": 25}, 20),
        ({"input": 5, "output": 12, "reasoning": 8, "total": 35, "cache": {"read": 10}}, 20),
        ({"input": 5, "output": 3, "reasoning": 8}, 11),
    ],
)
def test_reasoning_is_counted_once(tokens: dict[str, Any], output: int) -> None:
    """The total that the source states says whether the output has it."""
    usage = usage_in(tokens)
    assert usage is not None
    assert (usage.output_tokens, usage.reasoning_tokens) == (output, 8)
