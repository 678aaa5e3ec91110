"""LangChain's messages, as it serialises them, as the messages of a chat API."""

from collections.abc import Iterator, Mapping

from phasewise_collector.dialects.chat_values import Message, tool_call

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
    "function": "tool",
}
_OF_CLASS = {
    "HumanMessage": "human",
    "AIMessage": "ai",
    "AIMessageChunk": "ai",
    "SystemMessage": "system",
    "ToolMessage": "tool",
    "FunctionMessage": "function",
}


def are(value: object) -> bool:
    """Return whether a list of messages is LangChain's, and not the request of an API."""
    batch = value[0] if isinstance(value, list) and value else None
    one = batch[0] if isinstance(batch, list) and batch else batch
    return isinstance(batch, list) or (
        isinstance(one, Mapping) and ("lc" in one or ("type" in one and "role" not in one))
    )


def messages(value: object) -> Iterator[Message]:
    """Return the messages of a list, or of the first list of a batch."""
    listed = value if isinstance(value, list) else []
    if listed and isinstance(listed[0], list):
        listed = listed[0]
    for one in listed:
        if isinstance(one, Mapping):
            yield message(one)


def message(value: Mapping[str, object]) -> Message:
    """Return one message, from constructor arguments, from its fields, or as it is."""
    fields = value.get("kwargs", value.get("data"))
    fields = fields if isinstance(fields, Mapping) else value
    kind = fields.get("type", value.get("type"))
    named = value.get("id")
    if isinstance(named, list) and named:
        kind = _OF_CLASS.get(str(named[-1]), kind)
    role = fields.get("role") or _ROLES.get(str(kind), "user")
    made: Message = {"role": role, "content": fields.get("content", "")}
    calls = fields.get("tool_calls")
    if isinstance(calls, list) and calls:
        made["tool_calls"] = [_call(one) for one in calls if isinstance(one, dict)]
    if fields.get("tool_call_id"):
        made["tool_call_id"] = fields["tool_call_id"]
    return made


def _call(call: Message) -> Message:
    if "function" in call:
        return call
    return tool_call(call.get("id"), call.get("name"), call.get("args"))
