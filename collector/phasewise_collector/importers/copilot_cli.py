"""Copilot CLI's sessions (`~/.copilot/session-state/SESSION/events.jsonl`): one event a line.

An `assistant.message` is a call. It states its output tokens; what it read is stated as a sum per
model when a process of the session ends (`session.shutdown`), and is shared among the model's calls
by the estimated length of their prompts: the sums are right, a call's share is an estimate. Where
the file holds `assistant.usage`, a call has its own. An event's `agentId` (earlier the tool call
that began it) says which sub-agent it is of. The tool schemas are not in the file.
Source: the event types of https://www.npmjs.com/package/@github/copilot-sdk.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from phasewise_store.facts import Agent, Batch, LlmCall, Source, Usage

from phasewise_collector.importers import names
from phasewise_collector.importers.agent_chat import AgentChat, Request, plain_text
from phasewise_collector.importers.apportioning import shares
from phasewise_collector.importers.fields import (
    Record,
    count,
    count_or_zero,
    iso_ns,
    optional_text,
    record,
    text,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has, read_lines
from phasewise_collector.importers.model_names import provider_of
from phasewise_collector.importers.transcript import blank_call
from phasewise_collector.usage.reader import usage_of

FORMAT = "copilot-cli"
SOURCE = "copilot-cli"
MAIN = "copilot-cli"
SIDE = "sub-agent"
_KINDS = (b'"session.start"', b'"user.message"', b'"assistant.message"')
_INPUTS = ("inputTokens", "cacheReadTokens", "cacheWriteTokens")


def recognises(head: bytes, path: Path) -> bool:
    """Return whether a line is an event of a session."""
    del path
    shape = any_line_has(head, {"type", "data", "id", "timestamp", "parentId"})
    return shape and any(kind in head for kind in _KINDS)


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the session."""
    file = _File(trace.path)
    yield from read_lines(trace, file.take)
    calls = file.calls()
    if not calls:
        return
    if estimated := sum(call.usage.origin == "estimated" for call in calls):
        basis = "distributed from the session totals" if file.stated else "estimated from text"
        yield Note(
            f"{estimated} of {len(calls)} calls do not report input tokens; these are {basis}"
        )
    main = file.chats[""]
    yield Batch(
        Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
        sessions=(main.session(file.name),),
        agents=tuple(chat.agent for chat in file.chats.values()),
        llm_calls=tuple(calls),
        tool_calls=tuple(tool for chat in file.chats.values() for tool in chat.tool_calls),
        numbered=False,
    )


@dataclass(slots=True)
class _File:
    """The conversations of a session, and the sums that its processes stated at their ends."""

    path: Path
    session_id: str = ""
    name: str | None = None
    model: str | None = None
    chats: dict[str, AgentChat] = field(default_factory=dict)
    """by sub-agent; the main conversation under the empty name"""
    side_names: dict[str, str] = field(default_factory=dict)
    last_ns: dict[str, int] = field(default_factory=dict)
    """when the last message was there, by sub-agent"""
    order: list[str] = field(default_factory=list)
    """ids of the calls in the order of the file"""
    own: dict[str, Usage] = field(default_factory=dict)
    """usage that was stated for one call, by the call's id"""
    waiting: list[str] = field(default_factory=list)
    """calls since the last sums"""
    stated: list[tuple[list[str], dict[str, tuple[int, ...]]]] = field(default_factory=list)
    """calls, and what all of them read by model"""
    counted: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def take(self, fields: Record) -> None:
        """Add an event."""
        kind = text(fields, "type")
        data = record(fields.get("data", {}), "`data`")
        side = optional_text(fields, "agentId") or optional_text(data, "parentToolCallId") or ""
        at_ns = iso_ns(fields, "timestamp")
        if kind == "session.start":
            self._start(data)
        elif kind == "session.model_change":
            self.model = optional_text(data, "newModel") or self.model
        elif kind == "subagent.started":
            named = text(data, "agentName")
            self.side_names |= {text(data, "toolCallId"): named} | ({side: named} if side else {})
        elif kind == "session.shutdown":
            self._sums(data)
        elif kind == "session.compaction_complete" and data.get("success") is not False:
            summary = optional_text(data, "summaryContent") or ""
            self._chat(side).transcript.restart([{"role": "user", "content": summary}])
        elif kind == "assistant.usage":
            self._usage(data, side)
        else:
            self._message(kind, fields, data, side, at_ns)

    def calls(self) -> list[LlmCall]:
        """Return all calls in the order of the file, each with what it read as far as is known."""
        made = {call.call_id: call for chat in self.chats.values() for call in chat.calls}
        read = dict(self._shared(made))
        found: list[LlmCall] = []
        for call_id in self.order:
            call = made[call_id]
            usage = self.own.get(call_id) or read.get(call_id)
            found.append(call if usage is None else replace(call, usage=usage))
        return found

    def _start(self, data: Record) -> None:
        if not self.session_id:
            self.session_id = names.everywhere(text(data, "sessionId"))
        context = data.get("context")
        self.name = optional_text(context, "cwd") if isinstance(context, dict) else self.name
        self.model = optional_text(data, "selectedModel") or self.model

    def _chat(self, side: str) -> AgentChat:
        if side in self.chats:
            return self.chats[side]
        if not self.session_id:  # the first lines are lost: the folder is named after the session
            folder = self.path.resolve().parent.name
            stem = self.path.stem
            self.session_id = names.everywhere(folder if stem == "events" else stem)
        main = Agent(names.agent_id(self.session_id, MAIN), self.session_id, MAIN)
        self.chats.setdefault("", AgentChat(main))
        if side:
            own = names.agent_id(self.session_id, f"{SIDE}-{names.everywhere(side)}")
            role = self.side_names.get(side, SIDE)
            self.chats[side] = AgentChat(Agent(own, self.session_id, role, main.agent_id))
        return self.chats[side]

    def _message(self, kind: str, fields: Record, data: Record, side: str, at_ns: int) -> None:
        if kind == "assistant.message":
            self._answer(fields, data, side, at_ns)
        elif kind == "tool.execution_complete":
            result = data.get("result")
            failure = data.get("error")
            shown = result.get("content") if isinstance(result, dict) else failure
            self._chat(side).result(
                text(data, "toolCallId"),
                plain_text(shown),
                ended_ns=at_ns,
                error="error" if data.get("success") is False else None,
            )
        elif kind in ("user.message", "system.message"):
            said = optional_text(data, "transformedContent") or optional_text(data, "content")
            role = "user" if kind == "user.message" else optional_text(data, "role") or "system"
            self._chat(side).say(role, said or "")
        else:
            return
        self.last_ns[side] = at_ns

    def _answer(self, fields: Record, data: Record, side: str, at_ns: int) -> None:
        chat = self._chat(side)
        asked = data.get("toolRequests")
        requests = [
            Request(text(one, "toolCallId"), text(one, "name"), one.get("arguments"))
            for one in map(_request, asked if isinstance(asked, list) else ())
        ]
        began_ns = self.last_ns.get(side)
        model = optional_text(data, "model") or self.model
        unique = optional_text(data, "messageId") or text(fields, "id")
        call = chat.answer(
            optional_text(data, "content") or "",
            requests,
            replace(
                blank_call(),
                call_id=names.call_of(chat.agent.session_id, unique),
                provider=provider_of(model) if model else None,
                model=model,
                started_ns=at_ns if began_ns is None else began_ns,
                duration_ns=None if began_ns is None else max(0, at_ns - began_ns),
                finish_reason="tool_calls" if requests else "stop",
                response_id=optional_text(data, "apiCallId"),
            ),
            usage=None,
            ended_ns=at_ns,
        )
        if data.get("outputTokens") is not None:
            usage = replace(call.usage, output_tokens=count(data, "outputTokens"))
            chat.calls[-1] = replace(call, usage=usage)
        if isinstance(data.get("usage"), dict):
            stated = usage_of(record(data["usage"], "`usage`"))
            self.own |= {call.call_id: stated} if stated else {}
        self.order.append(call.call_id)
        self.waiting.append(call.call_id)

    def _usage(self, data: Record, side: str) -> None:
        """Return the usage to the call of the same answer, or else to the last without any."""
        chat = self._chat(side)
        answer = optional_text(data, "apiCallId")
        free = [call for call in chat.calls if call.call_id not in self.own]
        same = [call for call in free if answer is not None and call.response_id == answer]
        usage = _usage_in(data)
        if usage is not None and (same or free):
            self.own[(same or free)[-1].call_id] = usage

    def _sums(self, data: Record) -> None:
        """Keep what the process's calls read; a sum that goes on from the one before is cut."""
        metrics = record(data.get("modelMetrics", {}), "`modelMetrics`")
        sums: dict[str, tuple[int, ...]] = {}
        for model, value in metrics.items():
            usage = record(record(value, "the model").get("usage"), "`usage`")
            sums[model] = tuple(count_or_zero(usage, key) for key in _INPUTS)
        before, self.counted = self.counted, sums
        goes_on = bool(before) and all(
            model in sums and all(now >= then for now, then in zip(sums[model], read, strict=True))
            for model, read in before.items()
        )
        if goes_on and len(self.waiting) < _requests(metrics):
            sums = {
                model: tuple(
                    now - then
                    for now, then in zip(read, before.get(model, (0,) * len(read)), strict=True)
                )
                for model, read in sums.items()
            }
        self.stated.append((self.waiting, sums))
        self.waiting = []

    def _shared(self, made: dict[str, LlmCall]) -> Iterator[tuple[str, Usage]]:
        """Share each sum among its model's calls; what single calls state is taken off first."""
        for call_ids, sums in self.stated:
            for model, (read, hit, stored) in sums.items():
                mine = [c for c in call_ids if made[c].model == model]
                told = [self.own[c] for c in mine if c in self.own]
                calls = [made[c] for c in mine if c not in self.own]
                weights = [call.usage.input_tokens + 1 for call in calls]
                cached = hit - sum(usage.cache_read_tokens for usage in told)
                written = stored - sum(usage.cache_write_5m_tokens for usage in told)
                left = read - sum(usage.input_tokens for usage in told)
                totals = (left - cached - written, cached, written)
                parts = [shares(max(0, total), weights) for total in totals]
                for place, call in enumerate(calls):
                    yield (
                        call.call_id,
                        replace(
                            call.usage,
                            uncached_tokens=parts[0][place],
                            cache_read_tokens=parts[1][place],
                            cache_write_5m_tokens=parts[2][place],
                            cache_reported=True,
                        ),
                    )


def _requests(metrics: Record) -> int:
    """Return how many requests the sums stand for."""
    total = 0
    for value in metrics.values():
        requests = value.get("requests") if isinstance(value, dict) else None
        if isinstance(requests, dict):
            total += count_or_zero(requests, "count")
    return total


def _usage_in(data: Record) -> Usage | None:
    counts = {key: count(data, key) for key in _INPUTS if data.get(key) is not None}
    if "inputTokens" not in counts:
        return None
    return usage_of(
        {
            "prompt_tokens": counts["inputTokens"],
            "completion_tokens": count_or_zero(data, "outputTokens"),
            "prompt_tokens_details": {
                "cached_tokens": counts.get("cacheReadTokens", 0),
                "cache_write_tokens": counts.get("cacheWriteTokens", 0),
            },
            "completion_tokens_details": {"reasoning_tokens": data.get("reasoningTokens")},
        }
    )


def _request(value: object) -> Record:
    return record(value, "a tool request")
