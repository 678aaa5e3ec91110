"""What `codex exec --json` prints: events of a thread's turns, all that runs in CI leave behind.

`turn.completed` has the usage since the thread began, of all requests of all its turns: a turn's
own is what it adds to the turn before it in the file. One turn is stored as one call. The items
between are what the agent said and did; the prompt, the model and the times are not printed.
Source: https://github.com/openai/codex, codex-rs/exec/src/exec_events.rs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from phasewise_store.facts import Agent, Batch, Source, ToolCall

from phasewise_collector.dialects import tool_text
from phasewise_collector.importers import names
from phasewise_collector.importers.agent_chat import AgentChat
from phasewise_collector.importers.fields import Record, count_or_zero, optional_text, record, text
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has, read_lines
from phasewise_collector.importers.transcript import blank_call
from phasewise_collector.usage.reader import usage_of

FORMAT = "codex-exec"
SOURCE = "codex-exec"
ROLE = "codex"
_COUNTS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
)
_TOOLS = {
    "command_execution": "shell",
    "file_change": "apply_patch",
    "web_search": "web_search",
    "todo_list": "update_plan",
}
"""what an item's kind is called as a tool; MCP and sub-agent tools say their names"""
_ARGUMENTS = ("command", "changes", "query", "items", "arguments", "prompt")
_RESULTS = ("aggregated_output", "result", "error")
"""fields of the items, of which each kind has one or none"""
_FAILED = frozenset({"failed", "declined"})


def recognises(head: bytes, path: Path) -> bool:
    """Return whether a line is an event of a thread."""
    del path
    return any_line_has(head, {"type", "thread_id"}) and b'"thread.started"' in head


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return each thread as a session, each of its turns as a call."""
    file = _File()
    yield from read_lines(trace, file.take)
    source = Source(trace.source_id, SOURCE, FORMAT, str(trace.path))
    threads = [thread for thread in file.threads.values() if thread.chat.calls]
    if turns := sum(len(thread.chat.calls) for thread in threads):
        yield Note(
            f"each of {turns} calls is the sum of all requests of a turn, without times and models"
        )
    for thread in threads:
        yield Batch(
            source,
            sessions=(thread.chat.session(thread.name),),
            agents=(thread.chat.agent,),
            llm_calls=tuple(thread.chat.calls),
            tool_calls=tuple(thread.chat.tool_calls),
        )


@dataclass(frozen=True, slots=True)
class _Used:
    """A tool that a turn used."""

    name: str
    error: str | None
    arguments: str | None
    result: str | None


@dataclass(slots=True)
class _Thread:
    name: str
    chat: AgentChat
    counted: tuple[int, ...] = (0,) * len(_COUNTS)
    """usage since the thread began, as of the turn before"""
    said: list[str] = field(default_factory=list)
    used: dict[str, "_Used"] = field(default_factory=dict)
    """the tools that the turn used, by the item's id"""


@dataclass(slots=True)
class _File:
    threads: dict[str, _Thread] = field(default_factory=dict)
    current: _Thread | None = None

    def take(self, fields: Record) -> None:
        """Add an event."""
        kind = text(fields, "type")
        if kind == "thread.started":
            self.current = self._thread(text(fields, "thread_id"))
        elif self.current is None:
            return
        elif kind in ("item.completed", "item.updated"):
            _item(self.current, record(fields.get("item"), "`item`"))
        elif kind == "turn.completed":
            _turn(self.current, record(fields.get("usage"), "`usage`"), None)
        elif kind == "turn.failed" and isinstance(fields.get("usage"), dict):
            failure = record(fields.get("error", {}), "`error`")
            said = optional_text(failure, "message") or "the turn failed"
            _turn(self.current, record(fields["usage"], "`usage`"), said)

    def _thread(self, thread_id: str) -> _Thread:
        """Return a thread; one that was resumed is the same."""
        if thread_id not in self.threads:
            session_id = f"exec-{names.everywhere(thread_id)}"
            agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
            self.threads[thread_id] = _Thread(thread_id, AgentChat(agent))
        return self.threads[thread_id]


def _item(thread: _Thread, item: Record) -> None:
    kind, item_id = text(item, "type"), text(item, "id")
    if kind == "agent_message":
        thread.said.append(text(item, "text"))
        return
    name = _TOOLS.get(kind)
    if kind == "mcp_tool_call":
        name = f"{text(item, 'server')}.{text(item, 'tool')}"
    elif kind == "collab_tool_call":
        name = text(item, "tool")
    if name is not None:
        status = optional_text(item, "status")
        thread.used[item_id] = _Used(
            name,
            status if status in _FAILED else None,
            _first_text(item, _ARGUMENTS),
            _first_text(item, _RESULTS),
        )


def _first_text(item: Record, keys: tuple[str, ...]) -> str | None:
    """Write the first of these fields that an item has."""
    return next((tool_text.written(item[key]) for key in keys if item.get(key) is not None), None)


def _turn(thread: _Thread, usage: Record, error: str | None) -> None:
    counts = tuple(count_or_zero(usage, key) for key in _COUNTS)
    pairs = list(zip(counts, thread.counted, strict=True))
    goes_on = all(now >= before for now, before in pairs)
    read, hit, stored, written, thought = (
        tuple(now - before for now, before in pairs) if goes_on else counts
    )
    thread.counted = counts
    reported = "cached_input_tokens" in usage
    own = usage_of(
        {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": hit, "cache_write_tokens": stored}
            if reported
            else {},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": thought},
        }
    )
    call = thread.chat.answer(
        "\n\n".join(thread.said),
        (),
        replace(blank_call(), error=error, finish_reason=None if error else "stop"),
        usage=own,
    )
    thread.chat.transcript.history.clear()  # what the agent was asked is not printed
    thread.chat.tool_calls.extend(
        ToolCall(
            names.tool_call_id(call.call_id, place),
            call.session_id,
            call.agent_id,
            one.name,
            after_step=call.step,
            error=one.error,
            asked_by=call.call_id,
            arguments=one.arguments,
            result=one.result,
        )
        for place, one in enumerate(thread.used.values())
    )
    thread.said, thread.used = [], {}
