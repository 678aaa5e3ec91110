"""Read one stored segment as an entry: its role, and its text, calls and results in order."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import orjson
from phasewise_store.facts import Segment

from phasewise_analyzer.chat_messages.blocks import Blocks
from phasewise_analyzer.chat_messages.facts import Changes
from phasewise_analyzer.chat_messages.items import Call, Item, Result, Text
from phasewise_analyzer.chat_messages.kinds import kind_of, squeezed

Role = Literal["system", "user", "assistant", "tool"]
_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "assistant": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "tool": "tool",
    "toolresult": "tool",
    "toolresponse": "tool",
    "function": "tool",
}
_SENDABLE_KEYS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id"})
_MOST_BITS = 63
"""of an integer that every JSON reader takes"""
_CALL_IDS = ("tool_call_id", "toolCallId", "tool_use_id")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "thinking_blocks")


@dataclass(frozen=True, slots=True)
class Entry:
    """What one segment says."""

    role: Role
    items: tuple[Item, ...]
    changes: Changes
    sendable: bytes | None = None
    """the segment itself, where a chat endpoint takes it as it is"""


def read(segment: Segment, blocks: Blocks) -> Entry:
    """Read a segment of kind `system` or `message` whose text is known, its parts by `blocks`."""
    raw = segment.content or b""
    message, is_exact = _object(raw)
    role = _role(str((message or {}).get("role") or segment.role or segment.kind))
    if message is not None:
        try:
            items = tuple(_items(message, role, blocks))
        except RecursionError:
            message = None
    if message is None:
        text = raw.decode("utf-8", "replace")
        items = (Result(None, None, text),) if role == "tool" else (Text(text),)
        return Entry(role, items, {})
    changes = +blocks.changes
    is_sendable = is_exact and not changes and _is_sendable(message)
    if role == "user" and any(isinstance(item, Call) for item in items):
        role = "assistant"  # only a model calls tools
    return Entry(role, items, changes, raw if is_sendable else None)


def _object(raw: bytes) -> tuple[Mapping[str, object] | None, bool]:
    """Parse a message; says whether it is as written: servers refuse a lone surrogate."""
    found: object = None
    is_exact = True
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        is_exact = False
        with contextlib.suppress(ValueError, RecursionError):
            found = _sendable_json(json.loads(raw.decode("utf-8", "surrogatepass")))
    return (found if isinstance(found, dict) else None), is_exact


def _sendable_json(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_sendable_json(one) for one in value]
    if isinstance(value, dict):
        return {_sendable_json(key): _sendable_json(inner) for key, inner in value.items()}
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return str(value)
    return value


def _role(name: str) -> Role:
    return _ROLES.get(squeezed(name), "user")


def _items(message: Mapping[str, object], role: Role, blocks: Blocks) -> Iterator[Item]:
    content = message.get("content", message.get("parts"))
    if content is None and isinstance(message.get("type"), str):
        yield from blocks.read(message)  # an item of the Responses API that was given a role
        return
    if role == "tool":
        yield from _results(message, content, blocks)
        return
    for name in _THOUGHTS:
        yield from blocks.thought(message.get(name))
    if isinstance(content, Mapping) and "parts" in content:
        content = content["parts"]
    yield from blocks.read(content)
    if isinstance(refusal := message.get("refusal"), str):
        yield Text(refusal)
    audio = message.get("audio")
    if isinstance(audio, Mapping) and isinstance(audio.get("transcript"), str):
        yield Text(audio["transcript"])
    calls = message.get("tool_calls")
    more = message.get("additional_kwargs")  # where LangChain keeps what its own fields do not
    if not calls and isinstance(more, Mapping):
        calls = more.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, Mapping):
            function = call.get("function", call.get("custom"))
            inner = function if isinstance(function, Mapping) else {}
            yield blocks.call({**call, **inner, "id": call.get("id")})
    if isinstance(function := message.get("function_call"), Mapping):
        yield blocks.call(function)


def _results(message: Mapping[str, object], content: object, blocks: Blocks) -> Iterator[Item]:
    """Read what tools gave: parts that are results, or content that is one result."""
    parts = content if isinstance(content, list) else [content]
    if any(isinstance(part, Mapping) and kind_of(part)[0] == "result" for part in parts):
        yield from blocks.read(content)
        return
    call_id = next((message[key] for key in _CALL_IDS if message.get(key)), None)
    name = message.get("name")
    yield Result(
        None if call_id is None else str(call_id),
        name if isinstance(name, str) else None,
        "" if content is None else blocks.result_text(content),
    )


def _is_sendable(message: Mapping[str, object]) -> bool:
    """Return whether a chat endpoint takes a message as it is; ids are looked at later."""
    role, content = message.get("role"), message.get("content")
    calls = message.get("tool_calls")
    if not message.keys() <= _SENDABLE_KEYS or role not in ("system", "user", "assistant", "tool"):
        return False
    if calls is not None and not (
        role == "assistant" and isinstance(calls, list) and calls and all(map(_is_call, calls))
    ):
        return False
    if role != "tool" and "tool_call_id" in message:
        return False
    if isinstance(content, list):
        return bool(content) and all(map(_is_text_part, content))
    return isinstance(content, str) or (content is None and calls is not None)


def _is_call(call: object) -> bool:
    function = call.get("function") if isinstance(call, Mapping) else None
    return (
        isinstance(call, Mapping)
        and call.keys() == {"id", "type", "function"}
        and call["type"] == "function"
        and isinstance(function, Mapping)
        and function.keys() == {"name", "arguments"}
        and isinstance(function["name"], str)
        and isinstance(function["arguments"], str)
        and bool(function["arguments"])
    )


def _is_text_part(part: object) -> bool:
    return (
        isinstance(part, Mapping)
        and part.keys() == {"type", "text"}
        and part["type"] == "text"
        and isinstance(part["text"], str)
    )
