"""pi coding-agent sessions: one JSON line an entry, with the provider's usage and its price.

The first line is `{type: session}`; entries of type `message` are the conversation. `usage.input`
excludes what was read from the cache and written to it. System prompt and tool schemas are not in
the file. An entry stands under the time at which it ended; no call has a start, so none has a
duration. Aborted calls have no usage and are left out.
Source: https://github.com/badlogic/pi-mono, packages/coding-agent.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from phasewise_store.facts import Agent, Batch, Source

from phasewise_collector.importers import chat, names
from phasewise_collector.importers.fields import (
    Record,
    iso_ns,
    items,
    optional_text,
    optional_usd,
    record,
    text,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has, read_lines
from phasewise_collector.importers.transcript import Transcript, blank_call
from phasewise_collector.usage.reader import usage_of

FORMAT = "pi-mono"
SOURCE = "pi-mono"
ROLE = "coding-agent"


def recognises(head: bytes, path: Path) -> bool:
    """Return whether a line opens a session as pi does."""
    del path
    return any_line_has(head, {"type", "id", "cwd", "provider", "modelId"})


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the session."""
    file = _File(trace)
    yield from read_lines(trace, file.take)
    if file.without_usage:
        yield Note(
            f"{file.without_usage} responses were aborted or failed before they reported usage"
        )
    if file.transcript.calls:
        yield file.batch(Source(trace.source_id, SOURCE, FORMAT, str(trace.path)))


class _File:
    def __init__(self, trace: Trace) -> None:
        session_id = names.SessionNames(trace.source_id).new("session")
        agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
        self.transcript = Transcript(agent, chat.Segments())
        self.without_usage = 0
        self.name: str | None = None

    def take(self, fields: Record) -> None:
        """Add an entry."""
        kind = text(fields, "type")
        if kind == "session":
            self.name = optional_text(fields, "cwd")
        elif kind == "compaction":
            summary: chat.Message = {"role": "user", "content": text(fields, "summary")}
            self.transcript.restart([summary])
        elif kind == "message":
            self._message(record(fields.get("message"), "`message`"), iso_ns(fields, "timestamp"))

    def _message(self, message: Record, ended_ns: int) -> None:
        role = text(message, "role")
        if role == "assistant":
            self._call(message, ended_ns)
            return
        made: chat.Message = {"role": "user", "content": message.get("content")}
        if role == "toolResult":
            made = {
                "role": "tool",
                "tool_call_id": message.get("toolCallId"),
                "content": message.get("content"),
            }
        elif role == "bashExecution":
            shown = {key: message.get(key) for key in ("command", "output", "exitCode")}
            made = {"role": "user", "content": [{"type": "bash", **shown}]}
        self.transcript.add(made)

    def _call(self, message: Record, ended_ns: int) -> None:
        usage = record(message.get("usage"), "`usage`")
        counted = usage_of(usage)
        if counted is None or not counted.input_tokens + counted.output_tokens:
            self.without_usage += 1
            return
        asked = [
            text(part, "name")
            for part in map(_part, items(message, "content"))
            if part.get("type") == "toolCall"
        ]
        self.transcript.call(
            {"role": "assistant", "content": message.get("content")},
            replace(
                blank_call(),
                provider=optional_text(message, "provider"),
                model=optional_text(message, "model"),
                started_ns=ended_ns,
                reported_cost_usd=optional_usd(record(usage.get("cost", {}), "`cost`"), "total"),
                finish_reason=optional_text(message, "stopReason"),
                error=optional_text(message, "errorMessage"),
            ),
            usage=counted,
            asked=asked,
        )

    def batch(self, source: Source) -> Batch:
        """Return what was read."""
        transcript = self.transcript
        return Batch(
            source,
            sessions=(transcript.session(self.name),),
            agents=(transcript.agent,),
            llm_calls=tuple(transcript.calls),
            tool_calls=tuple(transcript.tool_calls),
        )


def _part(value: object) -> Record:
    return record(value, "a part of `content`")
