"""What vLLM's chat parser and strict chat templates refuse, in one place.

vLLM refuses parts of unknown types, contents that are null, and results without an id; templates
(Mistral's, newer Qwen's) refuse a system message that is not the first, and a result that does not
follow its call.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

ROLES = ("system", "user", "assistant", "tool")
Body = Mapping[str, Any]


def refusal(body: Body) -> str | None:
    """Say why a server would not answer a chat; None where it would."""
    reasons = [*_of_messages(body["messages"]), *map(_of_tool, body.get("tools", ()))]
    if not body["messages"]:
        reasons.append("no messages")
    if body.get("max_tokens", 1) < 1:
        reasons.append("max_tokens must be at least 1")
    return next(filter(None, reasons), None)


def _of_messages(messages: Sequence[Body]) -> list[str | None]:
    reasons: list[str | None] = []
    waiting: list[str] = []
    used: set[str] = set()
    for place, message in enumerate(messages):
        role = message["role"]
        reason = _of_message(message)
        if role == "system" and place:
            reason = "a system message that is not the first"
        if role == "tool":
            if message["tool_call_id"] not in waiting:
                reason = f"result `{message['tool_call_id']}` does not follow its call"
            else:
                waiting.remove(message["tool_call_id"])
        elif waiting:
            reason = f"calls {waiting} are not answered"
        for call in message.get("tool_calls", ()):
            if call["id"] in used:
                reason = f"two calls `{call['id']}`"
            used.add(call["id"])
            waiting.append(call["id"])
        reasons.append(reason and f"messages[{place}] ({role}): {reason}")
    return reasons


def _of_message(message: Body) -> str | None:
    if message["role"] not in ROLES:
        return "unknown role"
    calls = message.get("tool_calls", ())
    return next(filter(None, map(_of_call, calls)), None) or _of_content(message, calls)


def _of_call(call: Body) -> str | None:
    if call["type"] != "function" or not isinstance(call["function"]["name"], str):
        return "a call of no function"
    is_object = isinstance(json.loads(call["function"]["arguments"]), dict)
    return None if is_object else "arguments are no object"


def _of_content(message: Body, calls: Sequence[Body]) -> str | None:
    content = message.get("content")
    if isinstance(content, list):
        types = {part["type"] for part in content}
        return f"parts of types {types}" if types != {"text"} else None
    if content is None and calls:
        return None
    if not isinstance(content, str):
        return f"content is {content!r}"
    is_said = content or calls or message["role"] == "tool"
    return None if is_said else "nothing is said"


def _of_tool(tool: Body) -> str | None:
    function = tool.get("function", {})
    if tool.get("type") != "function" or not isinstance(function.get("name"), str):
        return f"tool {tool}"
    return None if isinstance(function.get("parameters", {}), dict) else f"parameters of {tool}"
