"""ShareGPT chats, as vLLM's and others' benchmarks use them: conversations without usage or times.

A list (or lines) of `{id, conversations: [{from, value}]}`; some copies write `role` and `content`,
or `messages`. Every answer after a question is a call that read all before it; tokens are estimated
from text. An answer that nothing comes before is the rest of a longer chat, and no call.
"""

from collections.abc import Iterator
from pathlib import Path

from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source

from phasewise_collector.importers import chat, names
from phasewise_collector.importers.documents import has_keys
from phasewise_collector.importers.fields import (
    BadRecordError,
    Record,
    items,
    optional_text,
    record,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import read_lines
from phasewise_collector.importers.transcript import Transcript, blank_call

FORMAT = "sharegpt"
SOURCE = "sharegpt"
ROLE = "assistant"
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "tool": "tool",
    "function_response": "tool",
}
_LISTS = ("conversations", "conversation", "messages", "items")


def recognises(head: bytes, path: Path) -> bool:
    """Return whether a chat with its turns stands in the head."""
    del path
    turns = any(
        has_keys(head, opening, ("conversations", *pair))
        for opening in (b"[", b"{")
        for pair in (("from", "value"), ("role", "content"))
    )
    return turns or has_keys(head, b"[", ("items", "from", "value"))


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return every chat as a session."""
    session_names = names.SessionNames(trace.source_id)
    segments = chat.Segments()
    sessions: list[Session] = []
    agents: list[Agent] = []
    calls: list[LlmCall] = []

    def take(fields: Record) -> None:
        recorded = optional_text(fields, "id") if isinstance(fields.get("id"), str) else None
        session_id = session_names.new(recorded or f"chat-{len(sessions)}")
        agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
        transcript = Transcript(agent, segments)
        for turn in items(fields, next((key for key in _LISTS if key in fields), _LISTS[0])):
            _turn(transcript, record(turn, "a turn"))
        if transcript.calls:
            sessions.append(transcript.session(recorded))
            agents.append(agent)
            calls.extend(transcript.calls)

    yield from read_lines(trace, take)
    if calls:
        yield Batch(
            Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
            sessions=tuple(sessions),
            agents=tuple(agents),
            llm_calls=tuple(calls),
        )


def _turn(transcript: Transcript, turn: Record) -> None:
    said_by = turn.get("from", turn.get("role"))
    role = _ROLES.get(said_by) if isinstance(said_by, str) else None
    if role is None:
        raise BadRecordError(f"a turn is from `{str(said_by)[:40]}`, which is not a chat role")
    message: chat.Message = {"role": role, "content": turn.get("value", turn.get("content"))}
    if role == "assistant" and transcript.history:
        transcript.call(message, blank_call())
    else:
        transcript.add(message)
