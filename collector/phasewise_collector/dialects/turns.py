"""Read a conversation from a prompt: who said what, and which tools were called and answered.

A response is recognised even if it is sent back with other fields than it had.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import orjson
import xxhash
from phasewise_store.facts import Segment

from phasewise_collector.dialects import tool_text
from phasewise_collector.dialects.message_parts import Asked, Parts

KNOWN_SEGMENTS = 50_000
"""segments of which the reading is remembered: a history is sent again with every call"""
_MODEL = frozenset({"assistant", "model"})
_WRITTEN_ID = re.compile(r"""['"]id['"]: ?['"]([^'"]{4,100})['"]""")
"""of a tool call that was written into a text, as smolagents does with its history"""


@dataclass(frozen=True, slots=True)
class Said:
    """One message, without its spelling."""

    by_model: bool
    digest: int
    """of what was said"""
    asked: tuple[Asked, ...] = ()
    results: tuple[str, ...] = ()
    """ids (else names) of the tools whose results are in it"""
    spoken: bool = True
    """whether it is more than a tool that is asked for, or its result: histories may leave those"""
    marks: tuple[int, ...] = ()
    """hashes that an answer and its copy share: of its text, of each tool's id and arguments"""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one call says of the conversation that it belongs to."""

    chain: int | None = None
    """hash of all messages that were sent; None where they are not known"""
    system: int = 0
    """hash of the system prompt"""
    before: int | None = None
    """hash of the messages that were sent before the last answer in the prompt"""
    answered: tuple[int, ...] = ()
    """marks of that answer"""
    results: tuple[str, ...] = ()
    """tools whose results follow it"""


def turn_of(prompt: Sequence[Segment]) -> Turn:
    """Read what a prompt goes on from."""
    chain, system = 0, 0
    before: int | None = None
    answered: list[int] = []
    results: list[str] = []
    was_model = False
    for segment in prompt:
        if segment.kind == "system":
            system = _joined(system, int.from_bytes(segment.digest[:8], "little"))
        if segment.kind != "message":
            continue
        said = said_in(segment)
        if said.by_model and not was_model:
            before, answered, results = chain or None, [], []
        if said.by_model:
            answered.extend(said.marks)
        else:
            results.extend(said.results)
        if said.spoken:
            chain = _joined(chain, said.digest)
        was_model = said.by_model
    return Turn(chain or None, system, before, tuple(answered), tuple(results))


def answer_of(output: Sequence[Segment]) -> tuple[tuple[int, ...], tuple[Asked, ...]]:
    """Return the marks of an answer, and the tools that it asks for."""
    found = [said_in(segment) for segment in output]
    marks = tuple(mark for said in found for mark in said.marks)
    return marks, tuple(one for said in found for one in said.asked)


def arguments_in(output: Sequence[Segment]) -> list[str | None]:
    """Return the arguments of the tools that an answer asks for, in the order of `answer_of`."""
    return [
        tool_text.written(one)
        for segment in output
        for one in Parts.of(_parsed(segment.content)).given
    ]


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool gave back, as a prompt brings it."""

    tool_id: str
    """its name where the API has no ids"""
    text: str | None
    failed: bool


def results_in(prompt: Sequence[Segment]) -> list[Result]:
    """Return what tools gave back after the last answer."""
    found: list[Result] = []
    for segment in reversed(prompt):
        if segment.kind != "message":
            continue
        if (segment.role or "user") in _MODEL:
            break
        found[:0] = results_of(_parsed(segment.content))
    return found


def results_of(message: object) -> list[Result]:
    """Return the results of tools that one message brings."""
    parts = Parts.of(message)
    return [
        Result(tool_id, tool_text.written(value), failed)
        for (tool_id, _), value, failed in zip(parts.results, parts.gave, parts.failed, strict=True)
    ]


def said_in(segment: Segment) -> Said:
    """Read one message."""
    return _read(segment.digest, segment.role or "user", _Content(segment.content))


class _Content:
    """A segment's text, which its digest stands for when a reading is looked up."""

    def __init__(self, raw: bytes | None) -> None:
        self.raw = raw

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Content)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=KNOWN_SEGMENTS)
def _read(digest: bytes, role: str, content: _Content) -> Said:
    by_model = role in _MODEL
    message = _parsed(content.raw)
    if not isinstance(message, Mapping):
        return Said(by_model, int.from_bytes(digest[:8], "little"))
    parts = Parts.of(message)
    text = " ".join(" ".join(parts.texts).split())
    facts = [
        "model" if by_model else "other",
        text,
        *(f"{one.tool_id}\x1f{one.name}\x1f{said}" for one, said in parts.asked),
        *(f"{name}\x1f{said}" for name, said in parts.results),
    ]
    marks: list[int] = []
    if by_model:
        if text:
            marks.append(_hash("text", text))
            marks.extend(_hash("id", named) for named in _WRITTEN_ID.findall(text))
        for one, arguments in parts.asked:
            marks.append(_hash("tool", one.name, arguments))
            if one.tool_id:
                marks.append(_hash("id", one.tool_id))
    return Said(
        by_model,
        _hash(*facts),
        tuple(one for one, _ in parts.asked),
        tuple(name for name, _ in parts.results),
        bool(text) or not (parts.asked or parts.results),
        tuple(marks),
    )


def _parsed(raw: bytes | None) -> object:
    if raw is None:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _hash(*facts: str) -> int:
    return xxhash.xxh3_64_intdigest("\x1e".join(facts).encode("utf-8", "surrogatepass")) or 1


def _joined(chain: int, digest: int) -> int:
    return xxhash.xxh3_64_intdigest(chain.to_bytes(8, "little") + digest.to_bytes(8, "little")) or 1
