"""Cache breakpoints in messages and tools: removed, since a breakpoint is not part of the prompt.

Anthropic writes `cache_control`, OpenAI since 5.6 `prompt_cache_breakpoint`, Bedrock a separate
block `cachePoint`. Agents move them with every call; the text that the model reads stays the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_KEYS = ("cache_control", "prompt_cache_breakpoint")
_BLOCK = "cachePoint"
_WRITTEN = tuple(f'"{name}"'.encode() for name in (*_KEYS, _BLOCK))
_COMMON = b"cache"

Mark = tuple[int, str | None]
"""place of the segment that ends with a breakpoint, and the lifetime asked for"""


def may_hold(written: bytes) -> bool:
    """Return whether a marker can stand in this JSON: most has none, and is not looked through."""
    return _COMMON in written and any(name in written for name in _WRITTEN)


@dataclass(slots=True)
class _Found:
    """What was seen on the way."""

    marked: bool = False
    ttl: str | None = None

    def note(self, marker: object) -> None:
        if marker is None:
            return
        self.marked = True
        ttl = marker.get("ttl") if isinstance(marker, Mapping) else None
        if isinstance(ttl, str):
            self.ttl = ttl


def split(value: object) -> tuple[object, bool, str | None]:
    """Return a message or tool without its markers, whether it had one, and the lifetime asked for.

    Arguments and results of tools are the program's own data, and left as they are.
    """
    found = _Found()
    clean = _message(value, found)
    return clean, found.marked, found.ttl


def _message(value: object, found: _Found) -> object:
    if not isinstance(value, Mapping):
        return value
    made = _without(value, found)
    for name in ("content", "parts", "toolSpec", "function"):
        inner = made.get(name)
        if isinstance(inner, list):
            made[name] = [_block(one, found) for one in inner if not _is_block(one, found)]
        elif isinstance(inner, Mapping):
            made[name] = _without(inner, found)
    return made


def _block(value: object, found: _Found) -> object:
    """Clean one block; a tool result may hold blocks again."""
    if not isinstance(value, Mapping):
        return value
    made = _without(value, found)
    inner = made.get("content")
    if made.get("type") == "tool_result" and isinstance(inner, list):
        made["content"] = [_without(one, found) for one in inner if isinstance(one, Mapping)]
    return made


def _is_block(value: object, found: _Found) -> bool:
    if isinstance(value, Mapping) and set(value) == {_BLOCK}:
        found.note(value[_BLOCK])
        return True
    return False


def _without(value: Mapping[str, object], found: _Found) -> dict[str, object]:
    for name in _KEYS:
        found.note(value.get(name))
    return {name: one for name, one in value.items() if name not in _KEYS}
