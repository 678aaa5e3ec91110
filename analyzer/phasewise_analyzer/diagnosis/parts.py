"""A prompt's segments as `diagnose.py` compares them: JSON where it is JSON, cache markers gone.

A marker says where a provider may cache, and a lone text block may be written as a plain string:
both leave what the model reads as it is, so neither tells two segments apart.
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Literal, NamedTuple

import orjson
from phasewise_store.facts import Segment
from phasewise_store.segments import encoded_segment

Tier = Literal["tools", "system", "messages"]
MARKERS = frozenset({"cache_control", "cachePoint", "cache_point", "prompt_cache_breakpoint"})
"""keys of Anthropic, Bedrock and OpenAI under which a marker stands"""
DEEPEST = 100
"""levels of JSON; what is nested deeper is compared as text"""

_MAY_BE_WRITTEN_OTHERWISE = re.compile(
    rb"cache_control|cachePoint|cache_point|prompt_cache_breakpoint|\"content\":\[\{\""
)
_TEXT_KEYS = (
    *("content", "parts", "text", "input_text", "output", "thinking", "response", "summary"),
    "encrypted_content",
)
_TEXT_TYPES = frozenset({"text", "input_text", "output_text"})


class Part(NamedTuple):
    """One segment in its place."""

    segment: Segment
    at: int
    """place among the segments of the prompt, from 0"""
    key: bytes
    """equal where the model reads the same"""

    @property
    def known(self) -> bool:
        """Say whether its content is known, not its hash alone."""
        return self.segment.content is not None

    @property
    def value(self) -> object:
        """Its JSON without markers, or its text."""
        return _value(self.segment.content or b"")


def parts(old: Sequence[Segment], new: Sequence[Segment]) -> tuple[list[Part], list[Part]]:
    """Give the segments of two prompts without those that are nothing but a marker.

    What both begin with is taken as it is: histories are long, and most of them is the same.
    """
    pairs = zip(old, new, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0].digest == pair[1].digest, pairs))
    return _parts(old, same), _parts(new, same)


def _parts(prompt: Sequence[Segment], same: int) -> list[Part]:
    found = []
    for at, segment in enumerate(prompt):
        hidden = segment.content is None
        key = segment.digest if hidden or at < same else _key(segment)
        if key is not None:
            found.append(Part(segment, at, key))
    return found


def parsed(raw: bytes | str) -> object:
    """Parse a JSON object or array; None where it is neither, or is nested too deeply."""
    if raw[:1] not in (b"{", b"[", "{", "["):
        return None
    try:
        value = orjson.loads(raw)
    except ValueError:
        return None
    return value if _is_shallow(value) else None


def dumped(value: object) -> bytes:
    """Write JSON; keys keep their order."""
    return orjson.dumps(value, default=str)


def text_of(value: object) -> str:
    """Give the words of a message, tool, or part of one, in order."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(filter(None, map(text_of, value)))
    if isinstance(value, dict):
        named = [value[key] for key in _TEXT_KEYS if value.get(key)]
        return "\n".join(filter(None, map(text_of, named)))
    return ""


def tool_name(value: object) -> str:
    """Give a tool's name, wherever its API writes it; empty where there is none."""
    if not isinstance(value, dict):
        return ""
    for key in ("function", "toolSpec", "custom"):
        inner = value.get(key)
        if isinstance(inner, dict) and inner.get("name"):
            return str(inner["name"])
    found = value.get("name") or value.get("type")
    if found:
        return str(found)
    return next(iter(value), "")


def _key(segment: Segment) -> bytes | None:
    """Give what a segment is compared by; None for a marker that stands alone."""
    raw = segment.content
    if raw is None or not _MAY_BE_WRITTEN_OTHERWISE.search(raw):
        return segment.digest
    value = _value(raw)
    if isinstance(value, str):
        return segment.digest
    if not value:
        return None
    return encoded_segment(segment.kind, dumped(value), segment.role).digest


def _value(raw: bytes) -> object:
    value = parsed(raw)
    if value is None:
        return raw.decode("utf-8", "replace")
    value = _without_markers(value)
    if isinstance(value, dict):
        only = _only_text(value.get("content"))
        if only is not None:
            value["content"] = only
    return value


def _without_markers(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_markers(inner) for key, inner in value.items() if key not in MARKERS}
    if isinstance(value, list):
        kept = [(one, _without_markers(one)) for one in value]
        return [new for one, new in kept if new or not isinstance(one, dict) or one == new]
    return value


def _only_text(content: object) -> str | None:
    """Give the text of a content that is one block of text and nothing else."""
    if not isinstance(content, list) or len(content) != 1:
        return None
    (block,) = content
    if not isinstance(block, dict) or not isinstance(block.get("text"), str):
        return None
    if set(block) == {"text"} or (
        set(block) == {"type", "text"} and str(block["type"]) in _TEXT_TYPES
    ):
        return str(block["text"])
    return None


def _is_shallow(value: object) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return True
    return False
