"""Codex's rollout files (`~/.codex/sessions/…/rollout-*.jsonl`): one event a line.

`session_meta` and `turn_context` say who and which model, `response_item` is the conversation, and
a `token_count` whose total has grown ends a call with its own usage (`last_token_usage`; cached
tokens are inside the input). `compacted` replaces the history. Tool schemas are not recorded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from phasewise_store.facts import Agent, Batch, Source

from phasewise_collector.importers import chat, names
from phasewise_collector.importers.fields import (
    BadRecordError,
    Record,
    count,
    iso_ns,
    optional_text,
    record,
    text,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has, read_lines
from phasewise_collector.importers.transcript import Transcript, blank_call
from phasewise_collector.usage.reader import usage_of

FORMAT = "codex"
SOURCE = "codex"
ROLE = "codex"
_CALLS = frozenset({"function_call", "custom_tool_call", "local_shell_call"})
_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})


def recognises(head: bytes, path: Path) -> bool:
    """Say whether a line is an event of a rollout."""
    del path
    return any_line_has(head, {"timestamp", "type", "payload"}) and b'"session_meta"' in head


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Give the rollout as a session."""
    file = _File(names.SessionNames(trace.source_id))
    yield from read_lines(trace, file.take)
    transcript = file.transcript
    if transcript is not None and transcript.calls:
        yield Batch(
            Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
            sessions=(transcript.session(file.name),),
            agents=(transcript.agent,),
            llm_calls=tuple(transcript.calls),
            tool_calls=tuple(transcript.tool_calls),
        )


@dataclass(slots=True)
class _File:
    names: names.SessionNames
    transcript: Transcript | None = None
    name: str | None = None
    provider: str | None = None
    model: str | None = None
    total: int = 0
    began_ns: int | None = None
    answer: list[Record] = field(default_factory=list)
    """items that the model has written since the last call ended"""

    def take(self, fields: Record) -> None:
        """Add an event."""
        kind = text(fields, "type")
        payload = record(fields.get("payload"), "`payload`")
        at_ns = iso_ns(fields, "timestamp")
        if kind == "session_meta":
            self._open(payload)
        elif self.transcript is None:
            return
        elif kind == "turn_context":
            self.model = optional_text(payload, "model") or self.model
        elif kind == "response_item":
            self._item(payload, at_ns)
        elif kind == "compacted":
            summary = {"role": "user", "content": optional_text(payload, "message") or ""}
            replaced = payload.get("replacement_history")
            history = (
                [dict(record(one, "an item")) for one in replaced]
                if isinstance(replaced, list)
                else [summary]
            )
            self.transcript.restart({"role": "user", **one} for one in history)
        elif kind == "event_msg" and payload.get("type") == "token_count":
            self._count(payload, at_ns)

    def _open(self, payload: Record) -> None:
        session_id = self.names.new(text(payload, "id"))
        self.name = optional_text(payload, "cwd")
        self.provider = optional_text(payload, "model_provider")
        agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
        self.transcript = Transcript(agent, chat.Segments())
        instructions = payload.get("base_instructions", payload.get("instructions"))
        if isinstance(instructions, dict):
            instructions = instructions.get("text")
        if isinstance(instructions, str):
            self.transcript.add({"role": "system", "content": instructions})

    def _item(self, item: Record, at_ns: int) -> None:
        assert self.transcript is not None
        kind = text(item, "type")
        if kind in _OUTPUTS:
            self.transcript.add(
                {
                    "role": "tool",
                    "tool_call_id": item.get("call_id"),
                    "content": item.get("output"),
                }
            )
        elif kind == "message" and item.get("role") != "assistant":
            self.transcript.add({"role": item.get("role", "user"), "content": item.get("content")})
        else:
            self.answer.append(item)
            return
        self.began_ns = at_ns

    def _count(self, payload: Record, at_ns: int) -> None:
        assert self.transcript is not None
        info = payload.get("info")
        if not isinstance(info, dict):
            return  # limits only
        total = count(record(info.get("total_token_usage"), "`total_token_usage`"), "total_tokens")
        if total == self.total:
            return  # said again
        self.total = total
        usage = record(info.get("last_token_usage"), "`last_token_usage`")
        counted = usage_of(usage)
        if counted is None:
            raise BadRecordError("`last_token_usage` counts no tokens")
        asked = [
            str(item.get("name", item["type"])) for item in self.answer if item["type"] in _CALLS
        ]
        output: chat.Message = {"role": "assistant", "content": [dict(one) for one in self.answer]}
        self.transcript.call(
            output if self.answer else None,
            replace(
                blank_call(),
                provider=self.provider,
                model=self.model,
                started_ns=self.began_ns if self.began_ns is not None else at_ns,
                duration_ns=None if self.began_ns is None else max(0, at_ns - self.began_ns),
                finish_reason="tool_calls" if asked else "stop",
            ),
            usage=counted,
            asked=asked,
            tool_starts_ns=at_ns,
        )
        self.answer = []
        self.began_ns = at_ns
