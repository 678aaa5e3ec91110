"""OpenCode's messages in one shape, whether they come as message and parts or as one record.

Until version 2 a message has `role` and its content in parts (text, reasoning, tool, step-start,
step-finish); since then it has `type` and holds its content itself. A message may hold several
steps: each is a call of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phasewise_store.facts import Usage

from phasewise_collector.importers.agent_chat import Request, plain_text
from phasewise_collector.importers.fields import (
    Record,
    count_or_zero,
    moment_ns,
    optional_text,
    optional_usd,
    record,
    text,
)
from phasewise_collector.usage.reader import usage_of

MILLISECOND_NS = 10**6


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A tool that an answer called, and what came of it."""

    request: Request
    result: str | None
    """None where it was not done when the file was written"""
    began_ns: int | None
    ended_ns: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One answer of a model."""

    content: str
    tools: tuple[ToolRun, ...]
    usage: Usage | None
    cost_usd: float | None
    finish: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a session."""

    message_id: str
    role: str
    """user, assistant, system, or summary: what replaces all before it"""
    content: str
    """of a message that is no answer"""
    steps: tuple[Step, ...]
    began_ns: int | None
    ended_ns: int | None
    provider: str | None
    model: str | None
    agent: str | None
    error: str | None
    is_summary: bool
    """whether the answer is a summary, from which the conversation goes on"""


def with_parts(info: Record, parts: Sequence[Record]) -> Message:
    """Read a message of versions before 2, with its parts in order."""
    role = text(info, "role")
    times = _inner(info, "time")
    failure = info.get("error")
    steps = tuple(_steps(info, parts)) if role == "assistant" else ()
    return Message(
        text(info, "id"),
        role,
        _said(parts),
        steps,
        _moment(times, "created"),
        _moment(times, "completed"),
        optional_text(info, "providerID"),
        optional_text(info, "modelID"),
        optional_text(info, "agent") or optional_text(info, "mode"),
        _failure(failure),
        info.get("summary") is True,
    )


def whole(kind: str, data: Record, message_id: str) -> Message | None:
    """Read a record of version 2; None for one that is no message, such as a change of model."""
    times = _inner(data, "time")
    model = _inner(data, "model")
    roles = {"assistant": "assistant", "system": "system", "compaction": "summary"}
    if kind in ("user", "synthetic", "shell"):
        role = "user"
    elif kind in roles:
        role = roles[kind]
    else:
        return None
    said = data.get("text", data.get("summary", ""))
    if kind == "shell":
        said = f"$ {plain_text(data.get('command'))}\n{plain_text(data.get('output'))}"
    content = data.get("content")
    parts = [record(one, "a part") for one in content] if isinstance(content, list) else []
    return Message(
        message_id,
        role,
        plain_text(said),
        (_step(data, parts),) if kind == "assistant" else (),
        _moment(times, "created"),
        _moment(times, "completed"),
        optional_text(model, "providerID"),
        optional_text(model, "id") or optional_text(model, "modelID"),
        optional_text(data, "agent"),
        _failure(data.get("error")),
        is_summary=False,
    )


def usage_in(tokens: Record) -> Usage | None:
    """Read `tokens`: the cache stands beside the input.

    Reasoning stands beside the output since a `total` is written, as that shows; before, inside.
    None where nothing was counted.
    """
    cache = _inner(tokens, "cache")
    read, written = count_or_zero(tokens, "input"), count_or_zero(tokens, "output")
    reasoning, hit, stored = (
        count_or_zero(tokens, "reasoning"),
        count_or_zero(cache, "read"),
        count_or_zero(cache, "write"),
    )
    if not any((read, written, reasoning, hit, stored)):
        return None
    total = count_or_zero(tokens, "total")
    if reasoning > written or (total and total != read + hit + stored + written):
        written += reasoning
    return usage_of(
        {
            "input_tokens": read,
            "cache_read_input_tokens": hit,
            "cache_creation_input_tokens": stored,
            "output_tokens": written,
            "output_tokens_details": {"thinking_tokens": reasoning},
        }
    )


def _steps(info: Record, parts: Sequence[Record]) -> Iterator[Step]:
    """Cut an answer at the ends of its steps; the message's own counts are those of one step."""
    ends = [part for part in parts if part.get("type") == "step-finish"]
    if len(ends) < 2:
        yield _step({"finish": ends[0].get("reason") if ends else None, **info}, parts)
        return
    step: list[Record] = []
    for part in parts:
        if part.get("type") == "step-finish":
            yield _step({**part, "finish": part.get("reason")}, step)
            step = []
        else:
            step.append(part)


def _step(counted: Record, parts: Sequence[Record]) -> Step:
    tokens = counted.get("tokens")
    tools = tuple(_tool(part) for part in parts if part.get("type") == "tool")
    return Step(
        _said(parts),
        tools,
        usage_in(record(tokens, "`tokens`")) if tokens is not None else None,
        optional_usd(counted, "cost"),
        optional_text(counted, "finish"),
    )


def _tool(part: Record) -> ToolRun:
    state = _inner(part, "state")
    name = optional_text(part, "tool") or text(part, "name")
    times = _inner(state, "time") or _inner(part, "time")
    status = state.get("status")
    result: str | None = None
    if status in ("completed", "error"):
        said = state.get("output", state.get("content", state.get("error")))
        result = plain_text(said if said else state.get("error"))
    return ToolRun(
        Request(optional_text(part, "callID") or text(part, "id"), name, state.get("input")),
        result,
        _moment(times, "start") or _moment(times, "ran") or _moment(times, "created"),
        _moment(times, "end") or _moment(times, "completed"),
        "error" if status == "error" else None,
    )


def _said(parts: Sequence[Record]) -> str:
    """Return the text of parts; a file is named in its place."""
    said: list[str] = []
    for part in parts:
        if part.get("type") == "text" and part.get("ignored") is not True:
            said.append(plain_text(part.get("text")))
        elif part.get("type") == "file":
            said.append(f"[file {part.get('filename') or part.get('mime') or ''}]")
    return "\n".join(said)


def _failure(failure: object) -> str | None:
    if not isinstance(failure, dict):
        return None
    inner = _inner(failure, "data")
    said = failure.get("message") or inner.get("message") or failure.get("name")
    return plain_text(said) or "error"


def _inner(fields: Record, key: str) -> Record:
    found = fields.get(key)
    return found if isinstance(found, dict) else {}


def _moment(times: Record, key: str) -> int | None:
    return None if times.get(key) is None else moment_ns(times, key, unit_ns=MILLISECOND_NS)
