"""Codex's rollout files (`~/.codex/sessions/…/rollout-*.jsonl`): one event a line.

`session_meta` and `turn_context` say who and which model, `response_item` is the conversation, and
a `token_usage_record`, or a `token_count` whose total has moved, ends a call (`codex_counts`).
`compacted` replaces the history. A resumed thread writes its `session_meta` again. A forked one
first writes what it takes over from its parent, all at once: that is history, and no call of its
own. Tool schemas are not recorded.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from phasewise_store import identity
from phasewise_store.facts import Agent, Batch, Source, Usage

from phasewise_collector.importers import chat, names
from phasewise_collector.importers.codex_counts import Counts
from phasewise_collector.importers.fields import Record, iso_ns, optional_text, record, text
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has, read_lines
from phasewise_collector.importers.transcript import Transcript, blank_call

FORMAT = "codex"
SOURCE = "codex"
ROLE = "codex"
_CALLS = frozenset({"function_call", "custom_tool_call", "local_shell_call"})
_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})
_BURST_NS = 200 * 10**6
"""between two lines of a history that is taken over; no answer comes this fast"""
_THREAD = re.compile(r"rollout-.*?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def recognises(head: bytes, path: Path) -> bool:
    """Return whether a line is an event of a rollout."""
    del path
    return any_line_has(head, {"timestamp", "type", "payload"}) and b'"session_meta"' in head


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the rollout as a session."""
    named = _THREAD.match(trace.path.name)
    file = _File(None if named is None else named[1])
    yield from read_lines(trace, file.take)
    transcript = file.transcript
    if transcript is not None and transcript.calls:
        yield Batch(
            Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
            sessions=(transcript.session(file.name),),
            agents=(transcript.agent,),
            llm_calls=tuple(transcript.calls),
            tool_calls=tuple(transcript.tool_calls),
            numbered=False,
        )
    if file.inherited:
        yield Note(f"{file.inherited} responses belong to the thread that this one was forked from")


@dataclass(slots=True)
class _File:
    thread_id: str | None
    """as the file is named"""
    transcript: Transcript | None = None
    name: str | None = None
    provider: str | None = None
    model: str | None = None
    instructions: str | None = None
    forked: bool = False
    burst_ns: int | None = None
    """the last line of the history that is taken over, while it lasts"""
    inherited: int = 0
    counts: Counts = field(default_factory=Counts)
    began_ns: int | None = None
    answer: list[Record] = field(default_factory=list)
    """items that the model has written since the last call ended"""
    places: Counter[str] = field(default_factory=Counter)

    def take(self, fields: Record) -> None:
        """Add an event."""
        kind = text(fields, "type")
        payload = record(fields.get("payload"), "`payload`")
        at_ns = iso_ns(fields, "timestamp")
        if kind == "session_meta":
            self._open(payload, at_ns)
            return
        transcript = self._transcript()
        if transcript is None:
            return
        if self.burst_ns is not None:
            self.burst_ns = max(self.burst_ns, at_ns) if self._is_inherited(at_ns) else None
        if kind == "turn_context":
            self.model = optional_text(payload, "model") or self.model
        elif kind == "response_item":
            self._item(transcript, payload, at_ns)
        elif kind == "compacted":
            summary = {"role": "user", "content": optional_text(payload, "message") or ""}
            replaced = payload.get("replacement_history")
            history = (
                [dict(record(one, "an item")) for one in replaced]
                if isinstance(replaced, list)
                else [summary]
            )
            transcript.restart({"role": "user", **one} for one in history)
        elif kind == "event_msg" and payload.get("type") == "token_count":
            usage = self.counts.of_total(payload)
            if usage is not None:
                self._end_call(transcript, usage, None, at_ns)
        elif kind == "token_usage_record":
            self._end_response(transcript, payload, at_ns)

    def _open(self, payload: Record, at_ns: int) -> None:
        thread_id = text(payload, "id")
        instructions = payload.get("base_instructions", payload.get("instructions"))
        if isinstance(instructions, dict):
            instructions = instructions.get("text")
        if self.thread_id is None:
            self.thread_id = thread_id
        if thread_id == self.thread_id:
            self.name = optional_text(payload, "cwd") or self.name
            self.forked |= optional_text(payload, "forked_from_id") is not None
        else:
            self.forked = True  # its parent's, with the history that it takes over
        self.provider = optional_text(payload, "model_provider") or self.provider
        if self.forked and (self.transcript is None or not self.transcript.calls):
            self.burst_ns = at_ns if self.burst_ns is None else max(self.burst_ns, at_ns)
        transcript = self._transcript()
        if transcript is not None and self.instructions is None and isinstance(instructions, str):
            self.instructions = instructions
            system = transcript.segments.of({"role": "system", "content": instructions})
            transcript.history.insert(0, system)

    def _transcript(self) -> Transcript | None:
        if self.transcript is None and self.thread_id is not None:
            session_id = names.everywhere(self.thread_id)
            agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
            self.transcript = Transcript(agent, chat.Segments())
        return self.transcript

    def _is_inherited(self, at_ns: int) -> bool:
        return self.burst_ns is not None and at_ns <= self.burst_ns + _BURST_NS

    def _item(self, transcript: Transcript, item: Record, at_ns: int) -> None:
        kind = text(item, "type")
        if kind in _OUTPUTS:
            transcript.add(
                {
                    "role": "tool",
                    "tool_call_id": item.get("call_id"),
                    "content": item.get("output"),
                }
            )
        elif kind == "message" and item.get("role") != "assistant":
            transcript.add({"role": item.get("role", "user"), "content": item.get("content")})
        else:
            self.answer.append(item)
            return
        self.began_ns = at_ns

    def _end_response(self, transcript: Transcript, payload: Record, at_ns: int) -> None:
        thread_id = optional_text(payload, "thread_id")
        if thread_id is not None and self.forked and thread_id != self.thread_id:
            self.burst_ns = at_ns
        usage, response_id = self.counts.of_record(payload)
        if usage is not None:
            self._end_call(transcript, usage, response_id, at_ns)
        elif response_id is not None and transcript.calls:
            last = transcript.calls[-1]
            transcript.calls[-1] = replace(
                last,
                response_id=response_id,
                identities=(*identity.of_ids(response_id), *last.identities),
            )

    def _end_call(
        self, transcript: Transcript, usage: Usage, response_id: str | None, at_ns: int
    ) -> None:
        asked = [
            str(item.get("name", item["type"])) for item in self.answer if item["type"] in _CALLS
        ]
        output: chat.Message = {"role": "assistant", "content": [dict(one) for one in self.answer]}
        if self.burst_ns is not None:
            if self.answer:
                transcript.add(output)
            self.inherited += 1
            self.answer = []
            return
        written = () if not self.answer else (transcript.segments.of(output),)
        place = identity.of_place(transcript.agent.session_id, transcript.history, written)
        self.places[place] += 1
        place = identity.nth(place, self.places[place] - 1)
        transcript.call(
            output if self.answer else None,
            replace(
                blank_call(),
                call_id=names.call_of(transcript.agent.session_id, response_id or place[-24:]),
                provider=self.provider,
                model=self.model,
                started_ns=self.began_ns if self.began_ns is not None else at_ns,
                duration_ns=None if self.began_ns is None else max(0, at_ns - self.began_ns),
                finish_reason="tool_calls" if asked else "stop",
                response_id=response_id,
                identities=(*identity.of_ids(response_id), place),
            ),
            usage=usage,
            asked=asked,
            tool_starts_ns=at_ns,
        )
        self.answer = []
        self.began_ns = at_ns
