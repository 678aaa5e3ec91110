"""Importing synchronises: however a session's files grow and are copied, a call counts once."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from phasewise_collector import ingest
from phasewise_collector.dialects import log_records
from phasewise_collector.importing import Imported, import_paths
from phasewise_collector.loader import SOURCE
from phasewise_collector.otlp import protobuf
from phasewise_collector.otlp.spans import ReceivedSpan
from phasewise_store import reads
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import START_NS, Made, pair, request

SESSION = "5f3c0000-0000-4000-8000-000000000001"
RESUMED = "5f3c0000-0000-4000-8000-000000000002"
THREAD = "0199a000-0000-7000-8000-000000000001"
FORK = "0199a000-0000-7000-8000-000000000002"
SECOND = 10**9


def moment(second: float) -> str:
    """Write a moment as the tools do."""
    whole, part = divmod(round(second * 1000), 1000)
    return f"2025-10-09T08:{53 + whole // 60:02d}:{whole % 60:02d}.{part:03d}Z"


def entry(uuid: str, parent: str | None, second: float, **fields: object) -> dict[str, object]:
    """Make an entry of a Claude Code session."""
    shared = {"uuid": uuid, "parentUuid": parent, "sessionId": SESSION, "isSidechain": False}
    return shared | {"timestamp": moment(second)} | fields


def asked(uuid: str, parent: str | None, second: float, **fields: object) -> dict[str, object]:
    """Make a user's message."""
    message = {"role": "user", "content": f"{uuid} says go on"}
    return entry(uuid, parent, second, type="user", message=message, **fields)


def told(
    uuid: str, parent: str, second: float, name: str, out: int, **fields: object
) -> dict[str, object]:
    """Make a snapshot of an answer, whose output grows until it ends."""
    usage = {"input_tokens": 10, "cache_read_input_tokens": 500, "output_tokens": out}
    content = [{"type": "text", "text": f"answer {name} so far {out}"}]
    message = {"id": name, "role": "assistant", "model": "claude-opus-4-5", "content": content}
    answer = message | {"usage": usage}
    shared: dict[str, object] = {"type": "assistant", "requestId": f"req_{name}"}
    return entry(uuid, parent, second, message=answer, **(shared | fields))


MAIN = (
    asked("u1", None, 20),
    told("a1", "u1", 23, "msg_1", 3),
    told("a2", "a1", 25, "msg_1", 40),
    asked("u2", "a2", 30),
    told("a3", "u2", 34, "msg_2", 40),
    asked("u3", "a3", 40),
    told("a4", "u3", 45, "msg_3", 7, requestId=None),
)
"""two turns of equal size among three"""
COPY = (
    *({**line, "sessionId": RESUMED} for line in MAIN[:5]),
    {**asked("u9", "a3", 50), "sessionId": RESUMED},
    {**told("a9", "u9", 55, "msg_9", 9), "sessionId": RESUMED},
)
"""the session resumed under another id, its history copied"""
SIDE = {"isSidechain": True, "agentId": "ab12"}
SUB = (asked("s1", None, 26, **SIDE), told("s2", "s1", 28, "msg_s", 11, **SIDE))


def event(second: float, kind: str, payload: Mapping[str, object]) -> dict[str, object]:
    """Make a line of a rollout."""
    return {"timestamp": moment(second), "type": kind, "payload": payload}


def said(second: float, role: str, text: str) -> dict[str, object]:
    """Make an item of a thread."""
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    item = {"type": "message", "role": role, "content": content}
    return event(second, "response_item", item)


def counted(second: float, total: int) -> dict[str, object]:
    """Make the count after a response of 9,000 and 100 tokens."""
    last = {"input_tokens": 9000, "output_tokens": 100, "total_tokens": 9100}
    whole = {name: number * total for name, number in last.items()}
    info = {"total_token_usage": whole, "last_token_usage": last}
    return event(second, "event_msg", {"type": "token_count", "info": info})


META = {"id": THREAD, "model_provider": "openai", "instructions": "be brief"}
PARENT = (
    event(60, "session_meta", META),
    event(60, "turn_context", {"model": "gpt-5.1-codex"}),
    said(61, "user", "fix it"),
    said(64, "assistant", "looking"),
    counted(65, 1),
    said(70, "user", "go on"),
    said(74, "assistant", "done"),
    counted(75, 2),
)
CHILD = (
    event(90, "session_meta", META | {"id": FORK, "forked_from_id": THREAD}),
    *({**line, "timestamp": moment(90)} for line in PARENT),
    said(95, "user", "check the docs"),
    said(99, "assistant", "fine"),
    counted(100, 3),
)
"""the thread forked, with its history written anew"""

PROJECT, ROLLOUTS = f"projects/w/{SESSION}", "sessions/rollout-2025-10-09T08-54-"
FILES: Mapping[str, Sequence[Mapping[str, object]]] = {
    f"{PROJECT}.jsonl": MAIN,
    f"projects/w/{RESUMED}.jsonl": COPY,
    f"{PROJECT}/subagents/agent-ab12.jsonl": SUB,
    f"{ROLLOUTS}00-{THREAD}.jsonl": PARENT,
    f"{ROLLOUTS}30-{FORK}.jsonl": CHILD,
    "copies/of-the-session.jsonl": MAIN,
    "copies/of-the-thread.jsonl": PARENT,
}


def write(folder: Path, name: str, lines: int) -> Path:
    """Write the first lines of a file, and half of the next, as a tool that is at work does."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [json.dumps(line) for line in FILES[name]]
    half = written[lines][: len(written[lines]) // 2] if lines < len(written) else ""
    path.write_text("".join(f"{line}\n" for line in written[:lines]) + half)
    if name.endswith("agent-ab12.jsonl"):
        path.with_name("agent-ab12.meta.json").write_text('{"agentType": "Explore"}')
    return path


def from_claude_code() -> list[ReceivedSpan]:
    """Give what Claude Code sends of the same session: spans, and records in the logs."""
    base = 1_760_000_000 - START_NS // SECOND  # the session's moments count from 08:53:00
    spans = []
    for number, (name, began, ended, out) in enumerate(
        (("msg_1", 20, 25, 40), ("msg_2", 30, 34, 40), ("msg_3", 40, 45, 7)), start=1
    ):
        attributes = {
            "span.type": "llm_request",
            "session.id": SESSION,
            "gen_ai.request.model": "claude-opus-4-5",
            "input_tokens": 10,
            "cache_read_tokens": 500,
            "output_tokens": out,
            "request_id": f"req_{name}",
        }
        spans.append(
            Made(
                number,
                None,
                "claude_code.llm_request",
                attributes,
                start_ms=(began - 20 + base) * 1000,
                ms=(ended - began) * 1000,
                trace=number,
                scope="com.anthropic.claude_code.tracing",
            )
        )
    return list(protobuf.decode(request(*spans).SerializeToString()).spans)


def from_codex() -> list[ReceivedSpan]:
    """Give what Codex sends of the thread: records without the ids of the answers."""
    made = ExportLogsServiceRequest()
    scoped = made.resource_logs.add().scope_logs.add()
    for ended in (65, 75):
        record = scoped.log_records.add(time_unix_nano=START_NS + (ended - 20) * SECOND)
        attributes = {
            "event.name": "codex.sse_event",
            "event.kind": "response.completed",
            "conversation.id": THREAD,
            "input_token_count": "9000",
            "output_token_count": "100",
        }
        record.attributes.extend(pair(name, value) for name, value in attributes.items())
    records = protobuf.decode_logs(made.SerializeToString())
    return [log_records.as_span(record) for record in records]


SENT = (*from_claude_code(), *from_codex())


def calls(store: Store) -> list[tuple[Any, ...]]:
    """Give what the store says of its calls."""
    found = []
    for call in reads.llm_calls(store).iter_rows(named=True):
        prompt = [part.content for part in reads.prompt(store, call["call_id"])]
        tokens = call["input_tokens"], call["output_tokens"]
        found.append((call["session_id"], call["agent"], *tokens, prompt))
    return sorted(found, key=repr)


def receive(store: Store, spans: Sequence[ReceivedSpan]) -> None:
    """Bring spans and records into the store as they come over OTLP."""
    with store.transaction() as connection:
        ingest.write(store, connection, ingest.prepare(store, spans), SOURCE)


def imported(store: Store, folder: Path) -> Imported:
    """Import the whole of each file once."""
    for name, lines in FILES.items():
        write(folder, name, len(lines))
    return import_paths(store, [folder])


@cache
def right() -> list[tuple[Any, ...]]:
    """Give the calls of all files, imported once."""
    with Store.in_memory() as store, tempfile.TemporaryDirectory() as folder:
        imported(store, Path(folder))
        return calls(store)


def test_what_is_imported_once(store: Store, tmp_path: Path) -> None:
    """Three calls, one resumed, one of the sub-agent, two of the thread, one of its fork."""
    done = imported(store, tmp_path)
    assert (done.llm_calls, done.skipped) == (8, [])
    found = [call[:4] for call in calls(store)]
    assert found == sorted(
        [
            (SESSION, "Explore", 510, 11),
            (SESSION, "claude-code", 510, 40),
            (SESSION, "claude-code", 510, 40),
            (SESSION, "claude-code", 510, 7),
            (RESUMED, "claude-code", 510, 9),
            (THREAD, "codex", 9000, 100),
            (THREAD, "codex", 9000, 100),
            (FORK, "codex", 9000, 100),
        ],
        key=repr,
    )


STEPS = st.lists(
    st.one_of(
        st.sampled_from(sorted(FILES)).flatmap(
            lambda name: st.tuples(st.just(name), st.integers(1, len(FILES[name])))
        ),
        st.lists(st.sampled_from(SENT), min_size=1, max_size=3),
    ),
    max_size=8,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_any_way_there_gives_the_same_calls(
    steps: Sequence[tuple[str, int] | list[ReceivedSpan]],
) -> None:
    """Prefixes, copies, forks, truncated files and OTLP in any order, then all files at last."""
    with tempfile.TemporaryDirectory() as folder, Store.in_memory() as store:
        place = Path(folder)
        for step in steps:
            if isinstance(step, list):
                receive(store, step)
            else:
                import_paths(store, [write(place, *step)], format_name=_format(step[0]))
        imported(store, place)
        assert calls(store) == right()
        again = import_paths(store, [place])
        assert (again.files, again.llm_calls) == (0, 0)


@pytest.mark.parametrize("order", [SENT, SENT[::-1]], ids=["in order", "backwards"])
@pytest.mark.parametrize("before", range(len(SENT) + 1))
def test_files_come_between_spans_that_come_one_by_one(
    store: Store, tmp_path: Path, before: int, order: Sequence[ReceivedSpan]
) -> None:
    """A call that a span and a file told of stays one when the trace is derived again."""
    for span in order[:before]:
        receive(store, [span])
    imported(store, tmp_path)
    for span in order[before:]:
        receive(store, [span])
    assert calls(store) == right()


def _format(name: str) -> str:
    """Name the format: a short beginning of a file does not tell it."""
    return "codex" if "rollout" in name or "thread" in name else "claude-code"


def test_an_import_says_what_is_new(store: Store, tmp_path: Path) -> None:
    """A file that has grown: the session grew by one call, one was known, one is completed."""
    path = write(tmp_path, f"{PROJECT}.jsonl", 2)
    first = import_paths(store, [path])
    write(tmp_path, f"{PROJECT}.jsonl", 5)
    os.utime(path, ns=(1, 1))
    second = import_paths(store, [path])
    assert (first.sessions, first.llm_calls, len(first.skipped)) == (1, 1, 1)
    assert (second.sessions, second.grown_sessions, second.llm_calls) == (0, 1, 1)
    assert (second.known_calls, second.completed_calls) == (1, 1)
    third = import_paths(store, [path])
    assert (third.files, third.already_there) == (0, 1)


def test_one_id_for_every_answer_of_a_proxy_merges_nothing(store: Store, tmp_path: Path) -> None:
    """A proxy answers with one id for ever: two turns of equal size stay two calls, twice read."""
    lines = [line | {"requestId": None} for line in MAIN[:1] + MAIN[2:5]]
    for line in lines:
        message = line["message"]
        assert isinstance(message, dict)
        line["message"] = message | {"id": "chatcmpl-test"}
    lines[1]["parentUuid"] = "u1"
    for name in ("a.jsonl", "b.jsonl"):
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (tmp_path / name).write_text(text + "\n" * (name == "b.jsonl"))
        import_paths(store, [tmp_path / name])
    assert [call[3] for call in calls(store)] == [40, 40]
