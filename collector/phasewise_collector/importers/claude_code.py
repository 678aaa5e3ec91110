"""Claude Code's session files (`~/.claude/projects/…/SESSION.jsonl`): one entry a line.

Entries form a tree by `parentUuid`; a call's prompt is the path to it, so an abandoned branch is
not part of it, and after a compaction it starts with the summary. Sub-agents are the entries marked
`isSidechain`, in the same file or in `SESSION/subagents/agent-ID.jsonl`. A resumed session may copy
its history into a new file: the message ids tell. The system prompt and the tool schemas are not in
the file. An entry's time is when it was written: the first of an answer is near its first token,
the last near its end; the start is that of the entry before it, which is when the request could be
sent.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from phasewise_store import identity
from phasewise_store.facts import Agent, Batch, LlmCall, Segment, Source

from phasewise_collector.importers import chat, names, sidecar
from phasewise_collector.importers.claude_code_answers import NO_MODEL, Answer, Entry, answers
from phasewise_collector.importers.fields import Record, iso_ns, optional_text, record, text
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has, read_lines
from phasewise_collector.importers.transcript import Transcript, blank_call

FORMAT = "claude-code"
SOURCE = "claude-code"
MAIN = "claude-code"
SIDE = "sub-agent"
PROVIDER = "anthropic"


def recognises(head: bytes, path: Path) -> bool:
    """Return whether a line is an entry of a session."""
    del path
    return any_line_has(head, {"uuid", "parentUuid", "sessionId", "type"})


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the file's sessions: one, unless it was resumed under another id."""
    file = _File(sidecar.text(trace.path, "agentType"))
    yield from read_lines(trace, file.take)
    batch = file.batch(Source(trace.source_id, SOURCE, FORMAT, str(trace.path)))
    if batch.llm_calls:
        yield batch
    if file.made_up:
        yield Note(f"{file.made_up} responses were written by Claude Code itself, not by a model")


@dataclass(slots=True)
class _File:
    agent_name: str | None
    """of the sub-agent whose file this is"""
    entries: dict[str, Entry] = field(default_factory=dict)
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
        if kind == "assistant" and message.get("model") == NO_MODEL:
            self.made_up += uuid not in self.entries
        side = ""
        if fields.get("isSidechain") is True:
            side = optional_text(fields, "agentId") or SIDE
        self.entries[uuid] = Entry(
            uuid,
            parent,
            names.everywhere(text(fields, "sessionId")),
            kind,
            message,
            iso_ns(fields, "timestamp"),
            side,
            optional_text(fields, "requestId"),
            fields,
        )

    def batch(self, source: Source) -> Batch:
        """Return the calls, each with the path that it read."""
        transcripts: dict[tuple[str, str], Transcript] = {}
        segments = chat.Segments()
        found = answers(self.entries, self.above)
        answer_of = {entry.uuid: place for place, one in enumerate(found) for entry in one.entries}
        for one in found:
            key = one.first.session, one.first.side
            transcript = transcripts.get(key)
            if transcript is None:
                transcript = transcripts[key] = Transcript(self._agent(*key), segments)
            transcript.history = self._path(one, answer_of, segments)
            _add_call(transcript, one, self._began_ns(one.first))
        for entry in self.entries.values():
            asker = transcripts.get((entry.session, entry.side))
            if asker is not None:
                asker.results_in({"role": entry.role, "content": entry.message.get("content")})
        agents = {one.agent.agent_id: one.agent for one in transcripts.values()}
        made: dict[str, list[LlmCall]] = {}
        for (session_id, _), transcript in transcripts.items():
            main = self._agent(session_id, "")
            agents.setdefault(main.agent_id, main)
            made.setdefault(session_id, []).extend(transcript.calls)
        return Batch(
            source,
            sessions=tuple(
                Transcript(self._agent(session_id, ""), segments, calls=calls).session(session_id)
                for session_id, calls in made.items()
            ),
            agents=tuple(agents.values()),
            llm_calls=tuple(
                sorted(
                    (call for calls in made.values() for call in calls),
                    key=lambda call: call.started_ns or 0,
                )
            ),
            tool_calls=tuple(tool for one in transcripts.values() for tool in one.tool_calls),
            numbered=False,
        )

    def _agent(self, session_id: str, side: str) -> Agent:
        main = names.agent_id(session_id, MAIN)
        if not side:
            return Agent(main, session_id, MAIN)
        name = self.agent_name or SIDE
        return Agent(
            names.agent_id(session_id, f"{SIDE}-{side}"),
            session_id,
            name,
            main,
            named=self.agent_name is not None,
        )

    def _path(
        self, answer: Answer, answer_of: Mapping[str, int], segments: chat.Segments
    ) -> list[Segment]:
        """Return the messages above an answer; the blocks of one answer are one message."""
        own = {entry.uuid for entry in answer.entries}
        path: list[Entry] = []
        uuid = answer.first.parent
        seen: set[str] = set()
        while uuid is not None and uuid not in seen:
            seen.add(uuid)
            entry = self.entries.get(uuid)
            if entry is not None and uuid not in own:
                path.append(entry)
            uuid = self.above.get(uuid)
        messages: list[chat.Message] = []
        last: int | None = None
        for entry in reversed(path):
            content = entry.message.get("content")
            here = answer_of.get(entry.uuid)
            if here is not None and here == last and isinstance(content, list):
                before = messages[-1]["content"]
                messages[-1] = {
                    "role": "assistant",
                    "content": [*(before if isinstance(before, list) else ()), *content],
                }
            else:
                messages.append({"role": entry.role, "content": content})
            last = here
        return [segments.of(message) for message in messages]

    def _began_ns(self, first: Entry) -> int | None:
        uuid = first.parent
        seen: set[str] = set()
        while uuid is not None and uuid not in seen:
            seen.add(uuid)
            entry = self.entries.get(uuid)
            if entry is not None:
                return entry.at_ns
            uuid = self.above.get(uuid)
        return None


def _add_call(transcript: Transcript, answer: Answer, began_ns: int | None) -> None:
    content = answer.content()
    asked = [
        str(block.get("name"))
        for block in content
        if isinstance(block, Mapping) and block.get("type") == "tool_use"
    ]
    first, last = answer.first, answer.last
    start_ns = first.at_ns if began_ns is None else min(began_ns, first.at_ns)
    duration_ns = last.at_ns - start_ns if began_ns is not None else None
    if answer.duration_ns is not None:
        start_ns, duration_ns = last.at_ns - answer.duration_ns, answer.duration_ns
    transcript.call(
        {"role": "assistant", "content": content},
        replace(
            blank_call(),
            call_id=names.call_of(transcript.agent.session_id, answer.named),
            provider=PROVIDER,
            model=optional_text(answer.fullest.message, "model"),
            started_ns=start_ns,
            duration_ns=duration_ns,
            finish_reason=answer.finish_reason,
            response_id=answer.message_id,
            reported_cost_usd=answer.cost_usd,
            identities=identity.of_ids(answer.named, *answer.request_ids),
        ),
        usage=answer.usage,
        asked=asked,
        tool_starts_ns=last.at_ns,
    )
