"""Read a conversation out of a prompt: who said what, which tools were asked for and answered.

All shapes of messages come down to the same few facts here (OpenAI chat, Responses items,
Anthropic blocks, Gemini parts, Bedrock, Vercel), so that an answer is known again when it is sent
back with other fields than it was received with.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import orjson
import xxhash
from phasewise_store.facts import Segment

from phasewise_collector.dialects.chat_values import parsed

KNOWN_SEGMENTS = 50_000
"""segments of which the reading is remembered: a history is sent again with every call"""
_CALLS = frozenset(
    {"tool_use", "server_tool_use", "tool_call", "tool-call", "function_call", "custom_tool_call"}
)
_RESULTS = frozenset(
    {"tool_result", "tool-result", "tool_call_response", "function_call_output"}
    | {"custom_tool_call_output"}
)
_UNSAID = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoningContent"})
"""parts that an answer may have and its copy may lack"""
_MODEL = frozenset({"assistant", "model"})
_WRITTEN_ID = re.compile(r"""['"]id['"]: ?['"]([^'"]{4,100})['"]""")
"""of a tool call that was written into a text, as smolagents does with its history"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A tool that the model asked for."""

    name: str
    tool_id: str
    """empty where the API has none"""


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
    """Give the marks of an answer, and the tools that it asks for."""
    found = [said_in(segment) for segment in output]
    marks = tuple(mark for said in found for mark in said.marks)
    return marks, tuple(one for said in found for one in said.asked)


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
    message = None if content.raw is None else _parsed(content.raw)
    if not isinstance(message, Mapping):
        return Said(by_model, int.from_bytes(digest[:8], "little"))
    parts = _Parts()
    parts.take_message(message)
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


class _Parts:
    """The parts of a message, whatever the API calls them."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.asked: list[tuple[Asked, str]] = []
        self.results: list[tuple[str, str]] = []

    def take_message(self, message: Mapping[str, object]) -> None:
        """Take a message: its content, and what stands beside it."""
        named = message.get("tool_call_id") or message.get("name")
        if message.get("role") in ("tool", "function") and named:
            inner = _Parts()
            inner.take(message.get("content"))
            if inner.results:
                self.results.extend(inner.results)
            else:
                self.results.append((str(named), " ".join(inner.texts)))
            return
        self.take(message.get("content"))
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, Mapping):
                function = call.get("function")
                inner_call = function if isinstance(function, Mapping) else call
                self._ask(
                    call.get("id"),
                    inner_call.get("name"),
                    inner_call.get("arguments", inner_call.get("args")),
                )
        legacy = message.get("function_call")
        if isinstance(legacy, Mapping):
            self._ask(None, legacy.get("name"), legacy.get("arguments"))

    def take(self, content: object) -> None:
        """Take content: a text, a part, or a list of them."""
        if isinstance(content, str):
            self.texts.append(content)
        elif isinstance(content, list):
            for part in content:
                self.take(part)
        elif isinstance(content, Mapping):
            self._take_part(content)

    def _take_part(self, part: Mapping[str, object]) -> None:
        kind = str(part.get("type", ""))
        inner = _one_field(part, "functionCall", "function_call", "toolUse")
        if inner is not None:
            self._ask(
                inner.get("id") or inner.get("toolUseId"),
                inner.get("name"),
                inner.get("args", inner.get("input", inner.get("arguments"))),
            )
            return
        inner = _one_field(part, "functionResponse", "function_response", "toolResult")
        if inner is not None:
            named = inner.get("id") or inner.get("toolUseId") or inner.get("name")
            said = inner.get("response", inner.get("content"))
            self.results.append((str(named or ""), _written(said)))
        elif kind in _CALLS:
            self._ask(
                part.get("call_id") or part.get("toolCallId") or part.get("id"),
                part.get("name") or part.get("toolName"),
                part.get("arguments", part.get("input", part.get("args"))),
            )
        elif kind in _RESULTS:
            named = part.get("tool_use_id") or part.get("call_id") or part.get("toolCallId")
            said = part.get("output", part.get("content", part.get("result")))
            self.results.append((str(named or part.get("id") or ""), _written(said)))
        elif kind in _UNSAID or part.get("thought") is True or "reasoningContent" in part:
            return
        elif isinstance(part.get("text"), str):
            self.texts.append(str(part["text"]))
        elif kind == "refusal":
            self.texts.append(str(part.get("refusal", "")))
        elif "content" in part:
            self.take(part["content"])
        else:
            self.texts.append(_written(part))

    def _ask(self, tool_id: object, name: object, arguments: object) -> None:
        asked = Asked(str(name or ""), "" if tool_id is None else str(tool_id))
        self.asked.append((asked, _written(parsed(arguments))))


def _one_field(part: Mapping[str, object], *names: str) -> Mapping[str, object] | None:
    found = (part.get(name) for name in names)
    return next((one for one in found if isinstance(one, Mapping)), None)


def _parsed(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _written(value: object) -> str:
    """Write a value so that equal ones are written alike; nothing is an empty object."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value or {}, default=str, option=orjson.OPT_SORT_KEYS).decode()


def _hash(*facts: str) -> int:
    return xxhash.xxh3_64_intdigest("\x1e".join(facts).encode("utf-8", "surrogatepass")) or 1


def _joined(chain: int, digest: int) -> int:
    return xxhash.xxh3_64_intdigest(chain.to_bytes(8, "little") + digest.to_bytes(8, "little")) or 1
