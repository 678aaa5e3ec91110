"""Cut the fixed front of an agent's prompts into blocks, and find how stable each is.

A slot is a place in the template: a tool by its name, a system block or first message by its
number. Where the texts of a slot differ, it is cut into what all of them start with, what differs,
and what all end with, so that a date in the middle of a system prompt is a block of its own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phasewise_store.facts import Segment
from phasewise_store.tokens import estimate
from phasewise_store.trie import shared_length

from phasewise_analyzer.diagnosis.parts import parsed, text_of, tool_name
from phasewise_analyzer.structure.facts import Stability

LEAST_CHARACTERS = 40
"""a shorter common beginning or end is not worth a block of its own"""
MOST_COMPARED = 400
"""different texts of one slot that are compared"""
_WORD_END = re.compile(r"\s\S*\Z")
_WORD_START = re.compile(r"\A\S*\s")


@dataclass(frozen=True, slots=True)
class Sent:
    """What one call sent in one slot."""

    tier: str
    slot: str
    digest: bytes
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a slot's texts are cut: so many characters in front and behind are always the same."""

    head: int
    tail: int


def sent(front: Sequence[Segment]) -> list[Sent]:
    """Name the slots of a prompt's tools, system blocks and first message."""
    found = []
    counts = {"system": 0, "messages": 0}
    for segment in front:
        tier = {"tool": "tools", "system": "system"}.get(segment.kind, "messages")
        raw = segment.content or b""
        value = parsed(raw) or raw.decode("utf-8", "replace")
        text = text_of(value) or raw.decode("utf-8", "replace")
        if tier == "tools":
            slot = f"tool {tool_name(value) or segment.digest.hex()[:8]}"
        else:
            slot = f"{'system' if tier == 'system' else 'message'} {counts[tier]}"
            counts[tier] += 1
        found.append(Sent(tier, slot, segment.digest, text, segment.tokens))
    return found


def cut(texts: Sequence[str]) -> Cut:
    """Find what all texts of a slot start and end with, in whole words."""
    different = list(dict.fromkeys(texts))[:MOST_COMPARED]
    if len(different) == 1:
        return Cut(0, 0)
    low, high = min(different), max(different)
    head = shared_length(low, high)
    shortest = min(map(len, different))
    reversed_texts = [text[::-1] for text in different]
    tail = min(shared_length(min(reversed_texts), max(reversed_texts)), shortest - head)
    if head < len(low):
        head = len(_WORD_END.sub(" ", low[:head])) if " " in low[:head] else 0
    behind = low[len(low) - tail :] if tail else ""
    tail = len(_WORD_START.sub("", behind)) if " " in behind else 0
    return Cut(head if head >= LEAST_CHARACTERS else 0, tail if tail >= LEAST_CHARACTERS else 0)


def pieces(one: Sent, where: Cut) -> list[tuple[str, str, int]]:
    """Cut what was sent: name, text and tokens of the pieces that are not empty."""
    if not where.head and not where.tail:
        return [(one.slot, one.text, one.tokens)]
    end = len(one.text) - where.tail
    cuts = [
        (f"{one.slot}, beginning", one.text[: where.head]),
        (f"{one.slot}, what differs", one.text[where.head : end]),
        (f"{one.slot}, end", one.text[end:]),
    ]
    whole = max(1, estimate(one.text))
    return [(name, text, one.tokens * estimate(text) // whole) for name, text in cuts if text]


def stability(values: Mapping[str, Sequence[str]]) -> Stability:
    """Judge a block by the values that each session sent, in order."""
    if len({value for some in values.values() for value in some}) == 1:
        return "static"
    if all(len(set(some)) == 1 for some in values.values()):
        return "session"
    return "call"
