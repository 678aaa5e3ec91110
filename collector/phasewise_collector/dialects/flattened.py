"""Messages and tools written as one attribute per field: `PREFIX.N.role`, `PREFIX.N.…`."""

import re
from collections.abc import Iterator, Mapping

from phasewise_collector.dialects.aliases import Attributes
from phasewise_collector.dialects.chat_values import Message, parsed, tool_call

_SCHEMA = re.compile(r"llm\.tools\.(\d+)\.tool\.json_schema")
_FUNCTION = re.compile(r"llm\.request\.functions\.(\d+)\.(name|description|parameters)")
_PLACE = re.compile(r"\.(\d+)\.(?:message\.)?(.+)")
_CALL_PART = re.compile(
    r"(?:message\.)?tool_calls\.(\d+)\.(?:tool_call\.)?(?:function\.)?(id|name|arguments)"
)
_CONTENT_PART = re.compile(r"contents\.(\d+)\.message_content\.text")


def messages(attributes: Attributes, prefix: str) -> Iterator[Message]:
    """Put `PREFIX.N.role`, `.content`, `.tool_calls.M.…` back together."""
    fields: dict[int, dict[str, object]] = {}
    for key, value in attributes.items():
        if key.startswith(prefix) and (found := _PLACE.fullmatch(key[len(prefix) :])):
            fields.setdefault(int(found[1]), {})[found[2]] = value
    for place in sorted(fields):
        yield _unflattened(fields[place])


def _unflattened(fields: Mapping[str, object]) -> Message:
    message: Message = {"role": fields.get("role", "user"), "content": fields.get("content")}
    texts = {
        int(found[1]): str(value)
        for key, value in fields.items()
        if (found := _CONTENT_PART.fullmatch(key))
    }
    if message["content"] is None and texts:
        message["content"] = "".join(texts[place] for place in sorted(texts))
    calls: dict[int, dict[str, object]] = {}
    for key, value in fields.items():
        if found := _CALL_PART.fullmatch(key):
            calls.setdefault(int(found[1]), {})[found[2]] = value
    if calls:
        message["tool_calls"] = [
            tool_call(call.get("id"), call.get("name"), call.get("arguments"))
            for _, call in sorted(calls.items())
        ]
    if fields.get("tool_call_id") is not None:
        message["tool_call_id"] = fields["tool_call_id"]
    return message


def tools(attributes: Attributes) -> Iterator[object]:
    """Put `llm.tools.N…` and `llm.request.functions.N…` back together."""
    schemas: dict[int, object] = {}
    flat: dict[int, dict[str, object]] = {}
    for key, value in attributes.items():
        if not key.startswith(("llm.tools.", "llm.request.functions.")):
            continue
        if found := _SCHEMA.fullmatch(key):
            schemas[int(found[1])] = value
        elif found := _FUNCTION.fullmatch(key):
            flat.setdefault(int(found[1]), {})[found[2]] = value
    yield from (parsed(schemas[place]) for place in sorted(schemas))
    yield from (flat[place] for place in sorted(flat))
