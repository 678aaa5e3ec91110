"""Claude Code's session files (`~/.claude/projects/…/SESSION.jsonl`): one entry a line.

An answer is written in several entries, one a content block, that repeat one `message.id` and its
usage: together they are one call. Entries form a tree by `parentUuid`; a call's prompt is the path
to it, so an abandoned branch is not part of it. Sub-agents are the entries marked `isSidechain`.
The system prompt and the tool schemas are not in the file. An entry's time is when it was written:
the first of an answer is near its first token, the last near its end; the start is that of the
entry before it, which is when the request could be sent.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from phasewise_store.facts import Agent, Batch, LlmCall, Segment, Source, ToolCall

from phasewise_collector.importers import chat, names
from phasewise_collector.importers.fields import (
    Record,
    iso_ns,
    optional_text,
    record,
    text,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has, read_lines
from phasewise_collector.importers.transcript import Transcript, blank_call
from phasewise_collector.usage.reader import usage_of

FORMAT = "claude-code"
SOURCE = "claude-code"
MAIN = "claude-code"
SIDE = "sub-agent"
PROVIDER = "anthropic"
NO_MODEL = "<synthetic>"
"""what Claude Code writes for answers that it made up itself, such as error texts"""
NO_REPLY = frozenset({"summary", "file-history-snapshot", "queue-operation", "progress"})


def recognises(head: bytes, path: Path) -> bool:
    """Say whether a line is an entry of a session."""
    del path
    return any_line_has(head, {"uuid", "parentUuid", "sessionId", "type"})


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Give the file's sessions: one, unless it was resumed under another id."""
    file = _File()
    yield from read_lines(trace, file.take)
    source = Source(trace.source_id, SOURCE, FORMAT, str(trace.path))
    batch = file.batch(source, names.SessionNames(trace.source_id))
    if batch.llm_calls:
        yield batch
    if file.made_up:
        yield Note(f"{file.made_up} answers were made by Claude Code itself, by no model")


@dataclass(slots=True)
class _Entry:
    uuid: str
    parent: str | None
    session: str
    role: str
    message: Record
    at_ns: int
    side: str
    """empty in the main conversation, else which sub-agent"""
    call: str | None = None
    """message id and request id of an answer"""


@dataclass(slots=True)
class _File:
    entries: dict[str, _Entry] = field(default_factory=dict)
    calls: dict[str, list[_Entry]] = field(default_factory=dict)
    above: dict[str, str | None] = field(default_factory=dict)
    made_up: int = 0

    def take(self, fields: Record) -> None:
        """Add an entry; those that are no message still link their children to their parents."""
        uuid = optional_text(fields, "uuid")
        if uuid is None:
            return  # a summary, a snapshot of files
        parent = optional_text(fields, "parentUuid")
        self.above[uuid] = parent
        kind = text(fields, "type")
        if kind not in ("user", "assistant"):
            return
        message = record(fields.get("message"), "`message`")
        side = ""
        if fields.get("isSidechain") is True:
            side = optional_text(fields, "agentId") or SIDE
        entry = _Entry(
            uuid,
            parent,
            text(fields, "sessionId"),
            kind,
            message,
            iso_ns(fields, "timestamp"),
            side,
        )
        self.entries[uuid] = entry
        if kind == "assistant":
            if message.get("model") == NO_MODEL:
                self.made_up += 1
                return
            request_id = optional_text(fields, "requestId") or ""
            entry.call = f"{optional_text(message, 'id') or uuid} {request_id}"
            self.calls.setdefault(entry.call, []).append(entry)

    def batch(self, source: Source, session_names: names.SessionNames) -> Batch:
        """Give the calls, each with the path that it read."""
        sessions: dict[str, str] = {}
        transcripts: dict[tuple[str, str], Transcript] = {}
        counted: dict[str, int] = {}
        made: list[LlmCall] = []
        tools: list[ToolCall] = []
        segments = chat.Segments()
        ordered = sorted(self.calls.values(), key=lambda parts: parts[0].at_ns)
        for parts in ordered:
            first = parts[0]
            session_id = sessions.setdefault(first.session, "")
            if not session_id:
                session_id = sessions[first.session] = session_names.new(first.session)
            transcript = transcripts.get((session_id, first.side))
            if transcript is None:
                transcript = Transcript(_agent(session_id, first.side), segments)
                transcripts[session_id, first.side] = transcript
            step = counted.get(session_id, 0)
            counted[session_id] = step + 1
            transcript.first_step = step - len(transcript.calls)
            transcript.history = self._path(parts, segments)
            made.append(_call(transcript, parts, self._began_ns(first)))
        for transcript in transcripts.values():
            tools += transcript.tool_calls
        agents = {one.agent.agent_id: one.agent for one in transcripts.values()}
        for session_id in sessions.values():
            main = _agent(session_id, "")
            agents.setdefault(main.agent_id, main)
        return Batch(
            source,
            sessions=tuple(
                replace(
                    Transcript(
                        _agent(own, ""), segments, calls=[c for c in made if c.session_id == own]
                    ).session(recorded)
                )
                for recorded, own in sessions.items()
            ),
            agents=tuple(agents.values()),
            llm_calls=tuple(made),
            tool_calls=tuple(tools),
        )

    def _path(self, parts: list[_Entry], segments: chat.Segments) -> list[Segment]:
        """Give the messages above an answer; the blocks of one answer are one message."""
        own = {entry.uuid for entry in parts}
        way: list[_Entry] = []
        uuid = parts[0].parent
        seen: set[str] = set()
        while uuid is not None and uuid not in seen:
            seen.add(uuid)
            entry = self.entries.get(uuid)
            if entry is not None and uuid not in own:
                way.append(entry)
            uuid = self.above.get(uuid)
        messages: list[chat.Message] = []
        last: str | None = None
        for entry in reversed(way):
            content = entry.message.get("content")
            if entry.call is not None and entry.call == last and isinstance(content, list):
                before = messages[-1]["content"]
                messages[-1] = {
                    "role": "assistant",
                    "content": [*(before if isinstance(before, list) else ()), *content],
                }
            else:
                messages.append({"role": entry.role, "content": content})
            last = entry.call
        return [segments.of(message) for message in messages]

    def _began_ns(self, first: _Entry) -> int | None:
        uuid = first.parent
        while uuid is not None:
            entry = self.entries.get(uuid)
            if entry is not None:
                return entry.at_ns
            uuid = self.above.get(uuid)
        return None


def _agent(session_id: str, side: str) -> Agent:
    main = names.agent_id(session_id, MAIN)
    if not side:
        return Agent(main, session_id, MAIN)
    return Agent(names.agent_id(session_id, f"{SIDE}-{side}"), session_id, SIDE, main)


def _call(transcript: Transcript, parts: list[_Entry], began_ns: int | None) -> LlmCall:
    first, last = parts[0], parts[-1]
    content: list[object] = []
    for part in parts:
        found = part.message.get("content")
        content += found if isinstance(found, list) else [found]
    asked = [
        str(block.get("name"))
        for block in content
        if isinstance(block, Mapping) and block.get("type") == "tool_use"
    ]
    # every entry repeats the usage; the last one has the final number of output tokens
    usage = usage_of(record(last.message.get("usage", {}), "`usage`"))
    start_ns = first.at_ns if began_ns is None else min(began_ns, first.at_ns)
    return transcript.call(
        {"role": "assistant", "content": content},
        replace(
            blank_call(),
            provider=PROVIDER,
            model=optional_text(last.message, "model"),
            started_ns=start_ns,
            duration_ns=last.at_ns - start_ns if began_ns is not None else None,
            finish_reason=optional_text(last.message, "stop_reason"),
            response_id=optional_text(last.message, "id"),
        ),
        usage=usage,
        asked=asked,
        tool_starts_ns=last.at_ns,
    )
