"""Gemini CLI's chats (`~/.gemini/tmp/PROJECT/chats/`): one session per file.

Until early 2026 a file is one JSON document with `messages`. Since then it is JSON lines: metadata,
a message (again whenever it grew: the last one holds), `$set` of metadata or of all messages, as
after a compression, and `$rewindTo`, which takes back a message and what follows. What was taken
back was asked and paid all the same: it stays a call. An answer that has `tokens` is a call; its
tools' results stand in it. Sub-agents have files of their own, `chats/SESSION/AGENT.jsonl`.
The system prompt and the tool schemas are not in the file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from phasewise_store.facts import Agent, Batch, Session, Source, Usage

from phasewise_collector.importers import names
from phasewise_collector.importers.agent_chat import AgentChat, Request, plain_text
from phasewise_collector.importers.documents import has_keys, read_roots
from phasewise_collector.importers.fields import (
    BadRecordError,
    Record,
    items,
    optional_iso_ns,
    optional_text,
    record,
    text,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has, read_lines
from phasewise_collector.importers.transcript import blank_call
from phasewise_collector.usage.reader import usage_of_body

FORMAT = "gemini-cli"
SOURCE = "gemini-cli"
MAIN = "gemini-cli"
SIDE = "sub-agent"
PROVIDER = "google"
_IN_USAGE = {
    "input": "promptTokenCount",
    "output": "candidatesTokenCount",
    "cached": "cachedContentTokenCount",
    "thoughts": "thoughtsTokenCount",
    "tool": "toolUsePromptTokenCount",
    "total": "totalTokenCount",
}
"""the file's name of each of the API's counts"""


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the file opens a session as Gemini CLI does."""
    del path
    return any_line_has(head, {"sessionId", "projectHash"}) or has_keys(
        head, b"{", ("sessionId", "projectHash")
    )


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the session."""
    file = _File()
    if trace.path.name.removesuffix(".gz").endswith(".jsonl") or b"\n{" in trace.data[:4096]:
        yield from read_lines(trace, file.take)
    else:
        for part in read_roots(trace):
            if isinstance(part, Skipped):
                yield part
                continue
            document, root = part
            try:
                file.take(root)
            except BadRecordError as error:
                yield document.skip(error)
    source = Source(trace.source_id, SOURCE, FORMAT, str(trace.path))
    chat = _Chat(file, trace.path)
    yield from chat.read()
    if chat.chat.calls:
        yield chat.batch(source)


@dataclass(slots=True)
class _File:
    """The messages of a file as they stand at its end."""

    head: dict[str, object] = field(default_factory=dict)
    messages: dict[str, Record] = field(default_factory=dict)
    """in the order in which they were asked, by id; the last version of each"""
    current: list[str] = field(default_factory=list)
    """ids of the conversation as it stands"""
    before: dict[str, list[str]] = field(default_factory=dict)
    """ids of the conversation as it stood when a message came"""

    def take(self, fields: Record) -> None:
        """Add a line, or a whole document."""
        if isinstance(fields.get("$rewindTo"), str):
            back_to = fields["$rewindTo"]
            place = self.current.index(str(back_to)) if back_to in self.current else 0
            self.current = self.current[:place]
        elif isinstance(fields.get("$set"), dict):
            self._set(record(fields["$set"], "`$set`"))
        elif "sessionId" in fields:
            self._set(fields)
        else:
            self._message(fields)

    def _set(self, fields: Record) -> None:
        self.head |= {key: value for key, value in fields.items() if key != "messages"}
        if not isinstance(fields.get("messages"), list):
            return
        self.current = []
        for message in items(fields, "messages"):
            self._message(record(message, "the message"))

    def _message(self, fields: Record) -> None:
        message_id = text(fields, "id")
        if message_id not in self.current:
            self.before.setdefault(message_id, list(self.current))
            self.current.append(message_id)
        self.messages[message_id] = fields


class _Chat:
    """The calls of a file's messages."""

    def __init__(self, file: _File, path: Path) -> None:
        self.file = file
        recorded = str(file.head.get("sessionId", path.name))
        is_side = file.head.get("kind") == "subagent"
        parent = path.resolve().parent.name
        outer = parent if is_side and parent not in ("chats", "") else recorded
        self.session_id = names.everywhere(outer)
        main = Agent(names.agent_id(self.session_id, MAIN), self.session_id, MAIN)
        self.agents = [main]
        if is_side:
            side_id = names.agent_id(self.session_id, f"{SIDE}-{names.everywhere(recorded)}")
            self.agents.append(Agent(side_id, self.session_id, SIDE, main.agent_id))
        self.chat = AgentChat(self.agents[-1])
        self._counted = any(message.get("tokens") for message in file.messages.values())
        self._heard: list[str] = []

    def read(self) -> Iterator[Skipped]:
        """Go through the messages in the order in which they came."""
        for message_id, fields in self.file.messages.items():
            try:
                self._follow(self.file.before[message_id])
                self._take(message_id, fields)
            except BadRecordError as error:
                yield Skipped(None, f"message `{message_id[:40]}`: {error}")

    def batch(self, source: Source) -> Batch:
        """Return what was read."""
        summary = self.file.head.get("summary")
        session = self.chat.session(summary if isinstance(summary, str) else None)
        return Batch(
            source,
            sessions=(session,) if len(self.agents) == 1 else (Session(self.session_id),),
            agents=tuple(self.agents),
            llm_calls=tuple(self.chat.calls),
            tool_calls=tuple(self.chat.tool_calls),
            numbered=False,
        )

    def _follow(self, before: list[str]) -> None:
        """Take back the history to what a message was asked with, after a rewind or compression."""
        if before == self._heard:
            return
        self._heard = []
        self.chat.transcript.history.clear()
        for message_id in before:
            self._hear(message_id, self.file.messages[message_id])

    def _hear(self, message_id: str, fields: Record) -> None:
        self._heard.append(message_id)
        kind = fields.get("type")
        if kind == "user":
            self.chat.say("user", plain_text(fields.get("content")))
        elif kind == "gemini":
            self.chat.heard(plain_text(fields.get("content")), _requests(fields))
            self._results(fields)

    def _take(self, message_id: str, fields: Record) -> None:
        counts = fields.get("tokens")
        is_call = fields.get("type") == "gemini" and (isinstance(counts, dict) or not self._counted)
        if not is_call:
            self._hear(message_id, fields)
            return
        ended_ns = optional_iso_ns(fields, "timestamp")
        began_ns = self._began_ns(message_id)
        known = began_ns is not None and ended_ns is not None
        requests = _requests(fields)
        model = optional_text(fields, "model")
        self.chat.answer(
            plain_text(fields.get("content")),
            requests,
            replace(
                blank_call(),
                call_id=names.call_of(self.session_id, message_id),
                provider=PROVIDER,
                model=model,
                started_ns=ended_ns if began_ns is None else began_ns,
                duration_ns=max(0, (ended_ns or 0) - (began_ns or 0)) if known else None,
                finish_reason="tool_calls" if requests else "stop",
            ),
            usage=_usage(counts) if isinstance(counts, dict) else None,
            ended_ns=ended_ns,
        )
        self._heard.append(message_id)
        self._results(fields)

    def _began_ns(self, message_id: str) -> int | None:
        """Return when the message before was there, or its last tool was done."""
        before = self.file.before[message_id]
        if not before:
            return None
        last = self.file.messages[before[-1]]
        moments = [optional_iso_ns(last, "timestamp")]
        moments += [optional_iso_ns(one, "timestamp") for one in _tools(last)]
        return max((moment for moment in moments if moment is not None), default=None)

    def _results(self, fields: Record) -> None:
        for call in _tools(fields):
            status = optional_text(call, "status")
            failed = status in ("error", "cancelled")
            self.chat.result(
                text(call, "id"),
                _result(call),
                ended_ns=optional_iso_ns(call, "timestamp"),
                error=status if failed else None,
            )


def _tools(fields: Record) -> list[Record]:
    found = fields.get("toolCalls")
    return [record(one, "a tool call") for one in found] if isinstance(found, list) else []


def _requests(fields: Record) -> list[Request]:
    return [Request(text(one, "id"), text(one, "name"), one.get("args")) for one in _tools(fields)]


def _result(call: Record) -> str:
    """Return what the model was shown of a tool's result: the output of its function response."""
    found = call.get("result")
    shown: list[str] = []
    for part in found if isinstance(found, list) else [found]:
        response = part.get("functionResponse") if isinstance(part, Mapping) else None
        answer = response.get("response") if isinstance(response, Mapping) else None
        if isinstance(answer, Mapping):
            said = answer.get("output", answer.get("error", answer))
            shown.append(plain_text(said))
        else:
            shown.append(plain_text(part))
    return "".join(shown)


def _usage(counts: Record) -> Usage | None:
    named = {_IN_USAGE[key]: value for key, value in counts.items() if key in _IN_USAGE}
    return usage_of_body({"usageMetadata": named})
