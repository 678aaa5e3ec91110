"""Arguments and result of a tool call, as conventions write them on the tool's span.

`content.py` keeps them with an arriving span; spans are stored without them, and the rows of the
tool calls keep them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import orjson

from phasewise_collector.dialects import aliases, media
from phasewise_collector.dialects.aliases import Attributes
from phasewise_collector.dialects.log_records import KIND as LOG
from phasewise_collector.otlp.spans import Event

_ARGUMENTS = (
    "gen_ai.tool.call.arguments",
    "ai.toolCall.args",
    "gcp.vertex.agent.tool_call_args",
    "spring.ai.tool.call.arguments",
    "tool_arguments",
    "langfuse.observation.input",
    "traceloop.entity.input",
    "mlflow.spanInputs",
    "input.value",
    "tool.parameters",
    "gen_ai.prompt",
)
"""best first; `tool.parameters` may be their description, and `gen_ai.prompt` is LangSmith's"""
_RESULT = (
    "gen_ai.tool.call.result",
    "ai.toolCall.result",
    "gcp.vertex.agent.tool_response",
    "spring.ai.tool.call.result",
    "tool_response",
    "langfuse.observation.output",
    "traceloop.entity.output",
    "mlflow.spanOutputs",
    "output.value",
    "gen_ai.completion",
)
_RECORD_ARGUMENTS = ("tool_input", "tool_parameters", "arguments", "function_args")
"""Claude Code's whole arguments and its extract of them, Codex's, Gemini CLI's"""
_RECORD_RESULT = ("tool_output", "tool_response", "output")
_EVENT_ARGUMENTS = {"gen_ai.tool.message": ("content",)}
"""Strands writes a tool's text as events of its span"""
_EVENT_RESULT = {
    "gen_ai.choice": ("message",),
    "tool.output": ("output", "content", "diff"),
}
"""the second is Claude Code's, with `OTEL_LOG_TOOL_CONTENT`"""
_HIDDEN = frozenset({"<REDACTED>", "[REDACTED]", "__REDACTED__"})
"""what senders write in the place of content that they are not to send"""


FAILED = "the tool reports failure"
"""a tool's error, where its result is only marked as one"""


class ToolText(NamedTuple):
    """Arguments and result of a tool; None where they are not known."""

    arguments: str | None = None
    result: str | None = None

    def or_else(self, other: "ToolText") -> "ToolText":
        """Return this, and what the other knows more."""
        return ToolText(
            other.arguments if self.arguments is None else self.arguments,
            other.result if self.result is None else self.result,
        )


UNKNOWN = ToolText()


def of_span(attributes: Attributes, events: Iterable[Event] = (), kind: str = "") -> ToolText:
    """Read the text of a tool's span, or of its log record."""
    if kind == LOG:
        return ToolText(_first(attributes, _RECORD_ARGUMENTS), _first(attributes, _RECORD_RESULT))
    there = list(events)
    return ToolText(_first(attributes, _ARGUMENTS), _first(attributes, _RESULT)).or_else(
        ToolText(_of_events(there, _EVENT_ARGUMENTS), _of_events(there, _EVENT_RESULT))
    )


def written(value: object) -> str | None:
    """Write arguments or a result as text: text as it is, text parts joined, the rest as JSON.

    An image becomes its placeholder, as in prompts.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        texts = [_of_part(part) for part in value]
        if all(text is not None for text in texts):
            return "\n".join(text for text in texts if text is not None)
    try:
        raw = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a number of more than 64 bits, nesting without end
        return None
    if media.may_hold(raw):
        raw = orjson.dumps(media.without(orjson.loads(raw)))
    return raw.decode()


def _of_part(part: object) -> str | None:
    text = part.get("text") if isinstance(part, Mapping) else part
    return text if isinstance(text, str) else None


def _first(attributes: Attributes, names: Sequence[str]) -> str | None:
    found = written(aliases.first(attributes, names))
    return None if found in _HIDDEN else found


def _of_events(events: Iterable[Event], names: Mapping[str, Sequence[str]]) -> str | None:
    texts = (_first(one.attributes, names[one.name]) for one in events if one.name in names)
    return next((text for text in texts if text is not None), None)
