"""Claude Code's session files, Codex's rollouts, OTLP in files: made as those tools write them."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from phasewise_collector.importing import import_paths
from phasewise_store import reads
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import Made, request
from tests.collector.test_dialects import OPENINFERENCE
from tests.otlp_conformance import json_form


def lines(path: Path, entries: Sequence[Mapping[str, object]]) -> Path:
    """Write one JSON object a line."""
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return path


def entry(uuid: str, parent: str | None, second: int, **fields: object) -> dict[str, object]:
    """Make an entry of a Claude Code session."""
    return {
        "uuid": uuid,
        "parentUuid": parent,
        "sessionId": "5f3c",
        "isSidechain": False,
        "timestamp": f"2026-01-01T00:00:{second:02d}.000Z",
        **fields,
    }


def user(content: object) -> dict[str, object]:
    """Make a user's message."""
    return {"type": "user", "message": {"role": "user", "content": content}}


def answer(message_id: str, content: object, read: int, hit: int, out: int) -> dict[str, object]:
    """Make one entry of an answer, with the usage that each of them repeats."""
    usage = {
        "input_tokens": read,
        "cache_read_input_tokens": hit,
        "cache_creation_input_tokens": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
        "output_tokens": out,
    }
    return {
        "type": "assistant",
        "requestId": f"req_{message_id}",
        "message": {
            "id": message_id,
            "role": "assistant",
            "model": "claude-opus-4-5",
            "content": content,
            "usage": usage,
            "stop_reason": "tool_use",
        },
    }


TEXT = [{"type": "text", "text": "Let me look."}]
CALL = [{"type": "tool_use", "id": "t1", "name": "Read", "input": {}}]
RESULT = [{"type": "tool_result", "tool_use_id": "t1", "content": "file"}]


def test_claude_code_s_blocks_of_one_answer_are_one_call(tmp_path: Path, store: Store) -> None:
    """Two entries of one message id: one call, usage once; its path without abandoned branches."""
    path = lines(
        tmp_path / "s.jsonl",
        [
            {"type": "summary", "summary": "x", "leafUuid": "a"},
            entry("u0", None, 0, **user("never sent on")),
            entry("u1", None, 1, **user("Go")),
            entry("a1", "u1", 3, **answer("m1", TEXT, 10, 100, 1)),
            entry("a2", "a1", 5, **answer("m1", CALL, 10, 100, 42)),
            entry("u2", "a2", 6, **user(RESULT)),
            entry("a3", "u2", 9, **answer("m2", TEXT, 5, 150, 9)),
            entry("a4", "a3", 9, type="assistant", message={"model": "<synthetic>", "content": []}),
        ],
    )
    done = import_paths(store, [path])
    first, second = reads.llm_calls(store, Scope()).sort("step").iter_rows(named=True)
    assert (first["input_tokens"], first["output_tokens"]) == (117, 42)
    assert (first["cache_write_5m_tokens"], first["cache_write_1h_tokens"]) == (3, 4)
    assert (first["duration_ns"], second["duration_ns"]) == (4 * 10**9, 3 * 10**9)
    prompts = [reads.prompt(store, call["call_id"]) for call in (first, second)]
    assert [[part.role for part in prompt] for prompt in prompts] == [
        ["user"],
        ["user", "assistant", "user"],
    ]
    assert b"tool_use" in (prompts[1][1].content or b"")
    assert done.tool_calls == 1
    assert store.frame("SELECT arguments, result FROM tool_calls").rows() == [("{}", "file")]
    assert "not by a model" in done.notes[0].text


@pytest.mark.parametrize("zipped", [False, True])
def test_a_session_that_begins_with_a_long_message_is_read(
    tmp_path: Path, store: Store, zipped: bool
) -> None:
    """A file is known by whole lines: a pasted log may be longer than what is looked at."""
    path = lines(
        tmp_path / "s.jsonl",
        [
            {"type": "summary", "summary": "x", "leafUuid": "a"},
            entry("u1", None, 1, **user("pasted log line " * 30_000)),
            entry("a1", "u1", 3, **answer("m1", TEXT, 10, 100, 1)),
        ],
    )
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert import_paths(store, [path]).llm_calls == 1


def test_a_session_that_grew_has_the_results_of_its_tools(tmp_path: Path, store: Store) -> None:
    """The tool was at work when the file was first imported; nothing but its result is new."""
    failed = [RESULT[0] | {"is_error": True}]
    entries = [
        entry("u1", None, 1, **user("Go")),
        entry("a1", "u1", 5, **answer("m1", CALL, 10, 100, 42)),
        entry("u2", "a1", 6, **user(failed)),
    ]
    texts = "SELECT arguments, result, error FROM tool_calls"
    import_paths(store, [lines(tmp_path / "s.jsonl", entries[:2])])
    assert store.frame(texts).rows() == [("{}", None, None)]
    import_paths(store, [lines(tmp_path / "s.jsonl", entries)])
    assert store.frame(texts).rows() == [("{}", "file", "the tool reports failure")]


def test_claude_code_s_side_chains_are_sub_agents(tmp_path: Path, store: Store) -> None:
    """Entries marked `isSidechain` belong to an agent under the main one."""
    path = lines(
        tmp_path / "s.jsonl",
        [
            entry("u1", None, 1, **user("Go")),
            entry("a1", "u1", 3, **answer("m1", TEXT, 10, 100, 1)),
            entry("s1", None, 4, **user("Explore") | {"isSidechain": True, "agentId": "ab12"}),
            entry(
                "s2",
                "s1",
                6,
                **answer("m2", TEXT, 10, 0, 1) | {"isSidechain": True, "agentId": "ab12"},
            ),
        ],
    )
    import_paths(store, [path])
    agents = store.frame("SELECT name, parent_agent_id IS NOT NULL FROM agents ORDER BY 1").rows()
    assert agents == [("claude-code", False), ("sub-agent", True)]


def test_codex_s_calls_end_with_their_token_count(tmp_path: Path, store: Store) -> None:
    """A repeated count is no second call; cached tokens are inside the input."""

    def event(second: int, kind: str, payload: Mapping[str, object]) -> dict[str, object]:
        return {"timestamp": f"2026-01-01T00:00:{second:02d}Z", "type": kind, "payload": payload}

    def counted(second: int, total: int, read: int, cached: int) -> dict[str, object]:
        usage = {
            "input_tokens": read,
            "cached_input_tokens": cached,
            "output_tokens": 20,
            "reasoning_output_tokens": 8,
            "total_tokens": total,
        }
        info = {"total_token_usage": usage | {"total_tokens": total}, "last_token_usage": usage}
        return event(second, "event_msg", {"type": "token_count", "info": info})

    asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go"}]}
    called = {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c1"}
    output = {"type": "function_call_output", "call_id": "c1", "output": "ok"}
    said = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "x"}],
    }
    path = lines(
        tmp_path / "rollout-1.jsonl",
        [
            event(0, "session_meta", {"id": "abc", "cwd": "/x", "model_provider": "openai"}),
            event(0, "turn_context", {"model": "gpt-5.4-codex"}),
            event(1, "response_item", asked),
            event(2, "event_msg", {"type": "token_count", "info": None}),
            event(4, "response_item", called),
            counted(4, 120, 100, 0),
            counted(5, 120, 100, 0),
            event(6, "response_item", output),
            event(8, "response_item", said),
            counted(9, 300, 160, 96),
        ],
    )
    import_paths(store, [path])
    first, second = reads.llm_calls(store, Scope()).sort("step").iter_rows(named=True)
    assert (first["input_tokens"], first["finish_reason"]) == (100, "tool_calls")
    assert (second["input_tokens"], second["cache_read_tokens"]) == (160, 96)
    assert (second["reasoning_tokens"], second["model"]) == (8, "gpt-5.4-codex")
    assert (first["duration_ns"], second["duration_ns"]) == (3 * 10**9, 3 * 10**9)
    assert store.frame("SELECT arguments, result FROM tool_calls").rows() == [("{}", "ok")]
    assert [part.role for part in reads.prompt(store, second["call_id"])] == [
        "user",
        "assistant",
        "tool",
    ]


def test_otlp_in_every_file_form_gives_the_same_calls(tmp_path: Path) -> None:
    """JSON a line, one document, protobuf plain and framed: two calls each, in one session."""
    made = request(
        Made(1, attributes=OPENINFERENCE | {"session.id": "s"}),
        Made(2, attributes=OPENINFERENCE | {"session.id": "s"}, start_ms=500),
    )
    body = made.SerializeToString()
    written = json_form.encode(made)
    forms = {
        "lines.json": written + b"\n" + written + b"\n",
        "document.json": json.dumps(json.loads(written), indent=1).encode(),
        "plain.pb": body,
        "framed.binpb": (len(body).to_bytes(4, "big") + body) * 2,
    }
    for name, data in forms.items():
        (tmp_path / name).write_bytes(data)
        with Store.in_memory() as store:
            done = import_paths(store, [tmp_path / name])
            assert (done.llm_calls, done.skipped) == (2, []), name
            assert store.frame("SELECT step FROM llm_calls ORDER BY 1").rows() == [(0,), (1,)]
