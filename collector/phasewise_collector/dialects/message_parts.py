"""The parts of one message: its texts, the tool calls it makes, the tool results it contains.

All message formats are reduced to the same few facts here (OpenAI chat, Responses items, Anthropic
blocks, Gemini parts, Bedrock, Vercel, Pi).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import orjson

from phasewise_collector.dialects.chat_values import parsed

_CALLS = frozenset(
    {"tool_use", "server_tool_use", "tool_call", "tool-call", "function_call", "custom_tool_call"}
    | {"toolCall"}
)
_RESULTS = frozenset(
    {"tool_result", "tool-result", "tool_call_response", "function_call_output"}
    | {"custom_tool_call_output"}
)
_UNSAID = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoningContent"})
"""parts that an answer may have and its copy may lack"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A tool that the model asked for."""

    name: str
    tool_id: str
    """empty where the API has none"""


class Parts:
    """The parts of a message, whatever the API calls them."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.asked: list[tuple[Asked, str]] = []
        """each with its arguments, so that equal ones are written alike"""
        self.given: list[object] = []
        """the arguments of each, as they came"""
        self.results: list[tuple[str, str]] = []
        """id (else name) of the tool, and what it gave back, written alike"""
        self.gave: list[object] = []
        """what each gave back, as it came"""
        self.failed: list[bool] = []
        """whether each says that it failed"""

    @classmethod
    def of(cls, message: object) -> Self:
        """Return the parts of a message; none of what is no object."""
        parts = cls()
        if isinstance(message, Mapping):
            parts.take_message(message)
        return parts

    def take_message(self, message: Mapping[str, object]) -> None:
        """Take a message: its content, and what stands beside it."""
        named = message.get("tool_call_id") or message.get("name")
        if message.get("role") in ("tool", "function") and named:
            inner = Parts()
            inner.take(message.get("content"))
            if inner.results:
                self.results.extend(inner.results)
                self.gave.extend(inner.gave)
                self.failed.extend(inner.failed)
            else:
                self.results.append((str(named), " ".join(inner.texts)))
                self.gave.append(message.get("content"))
                self.failed.append(_is_failure(message))
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
            self._answer(named, said, failed=_is_failure(inner))
        elif kind in _CALLS:
            self._ask(
                part.get("call_id") or part.get("toolCallId") or part.get("id"),
                part.get("name") or part.get("toolName"),
                part.get("arguments", part.get("input", part.get("args"))),
            )
        elif kind in _RESULTS:
            named = part.get("tool_use_id") or part.get("call_id") or part.get("toolCallId")
            said = part.get("output", part.get("content", part.get("result")))
            self._answer(named or part.get("id"), said, failed=_is_failure(part))
        elif kind in _UNSAID or part.get("thought") is True or "reasoningContent" in part:
            return
        elif isinstance(part.get("text"), str):
            self.texts.append(str(part["text"]))
        elif kind == "refusal":
            self.texts.append(str(part.get("refusal", "")))
        elif "content" in part:
            self.take(part["content"])
        else:
            self.texts.append(written(part))

    def _ask(self, tool_id: object, name: object, arguments: object) -> None:
        asked = Asked(str(name or ""), "" if tool_id is None else str(tool_id))
        self.asked.append((asked, written(parsed(arguments))))
        self.given.append(arguments)

    def _answer(self, named: object, said: object, *, failed: bool) -> None:
        self.results.append((str(named or ""), written(said)))
        self.gave.append(said)
        self.failed.append(failed)


def _is_failure(result: Mapping[str, object]) -> bool:
    """Return whether a tool's result is marked as an error: by Anthropic, by Bedrock."""
    return result.get("is_error") is True or result.get("status") == "error"


def _one_field(part: Mapping[str, object], *names: str) -> Mapping[str, object] | None:
    found = (part.get(name) for name in names)
    return next((one for one in found if isinstance(one, Mapping)), None)


def written(value: object) -> str:
    """Write a value so that equal ones are written alike; nothing is an empty object."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value or {}, default=str, option=orjson.OPT_SORT_KEYS).decode()
