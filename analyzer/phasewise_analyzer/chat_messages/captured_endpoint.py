"""The endpoint that the calls of a session were sent to, as their captured messages show it.

A replay can send them to the same endpoint of an inference server.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import orjson
from phasewise_store.facts import Segment

CapturedEndpoint = Literal["chat", "messages", "responses"]
"""OpenAI's chat completions (and all APIs without an endpoint here), Anthropic's messages, OpenAI's
Responses"""

_ANTHROPIC_PARTS = frozenset(
    {"tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use"}
)
_ANTHROPIC_TOOL = re.compile(r"[a-z_]+_20\d{6}")
"""type of a tool that Anthropic runs or knows, e.g. `bash_20250124`"""
_RESPONSES_ITEMS = frozenset(
    {
        *("function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"),
        *("reasoning", "message", "local_shell_call", "local_shell_call_output"),
        *("web_search_call", "file_search_call", "computer_call", "computer_call_output"),
    }
)
_RESPONSES_PARTS = frozenset({"input_text", "output_text", "input_image", "input_file"})


def captured_endpoint(
    prompts: Iterable[Iterable[Segment]], *, provider: str | None
) -> CapturedEndpoint:
    """Return the endpoint of a session's prompts: that of the first segment which shows one.

    Where only text was said, and in frameworks' own formats, the provider says it.
    """
    seen: set[bytes] = set()
    for prompt in prompts:
        for segment in prompt:
            if segment.digest in seen:
                continue
            seen.add(segment.digest)
            found = _shown_by(segment)
            if found is not None:
                return found
    return "messages" if provider == "anthropic" else "chat"


def _shown_by(segment: Segment) -> CapturedEndpoint | None:
    """Return the endpoint that only takes such a segment; None where several do."""
    try:
        fields = orjson.loads(segment.content or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, Mapping):
        return None
    return _of_tool(fields) if segment.kind == "tool" else _of_message(segment.kind, fields)


def _of_tool(tool: Mapping[str, object]) -> CapturedEndpoint | None:
    if "input_schema" in tool or _ANTHROPIC_TOOL.fullmatch(str(tool.get("type"))):
        return "messages"
    return "chat" if isinstance(tool.get("function"), Mapping) else None


def _of_message(kind: str, message: Mapping[str, object]) -> CapturedEndpoint | None:
    named = str(message.get("type"))
    types = {str(part.get("type")) for part in _parts(message)}
    if named in _RESPONSES_ITEMS or types & _RESPONSES_PARTS:
        return "responses"
    if types & _ANTHROPIC_PARTS or (kind == "system" and named == "text"):
        return "messages"
    if any("cache_control" in part for part in _parts(message)):
        return "messages"
    return "chat" if message.get("tool_calls") or "tool_call_id" in message else None


def _parts(fields: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    content = fields.get("content")
    yield fields
    for part in content if isinstance(content, list) else ():
        if isinstance(part, Mapping):
            yield part
