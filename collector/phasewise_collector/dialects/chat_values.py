"""Values of chat messages: JSON in text attributes, and tool calls in chat API form."""

from collections.abc import Mapping

import orjson

from phasewise_collector.dialects import cut_json

Message = dict[str, object]
_JSON_BEGINS = frozenset('[{"')


def parsed(value: object) -> object:
    """Parse JSON in a text, up to where it was cut short; anything else stays as it is."""
    if not isinstance(value, str) or value[:1] not in _JSON_BEGINS:
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        found = cut_json.repaired(value)
        return value if found is None else found


def mapping(value: object) -> Mapping[str, object]:
    """Return an object, parsed where it is text; an empty one where it is none."""
    found = parsed(value)
    return found if isinstance(found, dict) else {}


def plain(value: object) -> str:
    """Return a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def tool_call(call_id: object, name: object, arguments: object) -> Message:
    """Write a tool call."""
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": plain(arguments)},
    }
