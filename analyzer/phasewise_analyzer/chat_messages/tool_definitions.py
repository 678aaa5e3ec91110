"""Convert tool definitions of every API to OpenAI's form, which engines accept."""

from collections import Counter
from collections.abc import Mapping

import orjson

from phasewise_analyzer.chat_messages.facts import Change
from phasewise_analyzer.diagnosis.parts import tool_name

_SCHEMAS = (
    *("parameters", "input_schema", "inputSchema", "parametersJsonSchema"),
    *("parameters_json_schema", "parameters_json", "schema"),
)
_HOLDERS = ("function", "toolSpec", "tool_spec", "custom")
_GOOGLE_TYPES = frozenset({"OBJECT", "STRING", "INTEGER", "NUMBER", "BOOLEAN", "ARRAY", "NULL"})
_FREE_TEXT: Mapping[str, object] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
"""the schema of a tool that takes text in a grammar of its own, as Codex's `apply_patch`"""
_NO_ARGUMENTS: Mapping[str, object] = {"type": "object", "properties": {}}


def sendable(raw: bytes) -> tuple[bytes, Counter[Change]]:
    """Return a stored definition in OpenAI's form, and what had to be changed."""
    changes: Counter[Change] = Counter()
    try:
        tool = orjson.loads(raw)
    except orjson.JSONDecodeError:
        tool = {"name": raw.decode("utf-8", "replace")}
    if not isinstance(tool, dict):
        tool = {"name": str(tool)}
    if _is_sendable(tool):
        return raw, changes
    inner = next((one for key in _HOLDERS if isinstance(one := tool.get(key), dict)), tool)
    function: dict[str, object] = {"name": tool_name(tool) or "tool"}
    if description := _description(inner):
        function["description"] = description
    schema = _schema(inner)
    if schema is None:
        schema = _FREE_TEXT if tool.get("type") == "custom" else _NO_ARGUMENTS
        changes["provider_tools"] += tool.get("type") not in (None, "function", "custom")
    function["parameters"] = schema
    changes["tools_rewritten"] += 1
    return orjson.dumps({"type": "function", "function": function}, default=str), changes


def _is_sendable(tool: Mapping[str, object]) -> bool:
    function = tool.get("function")
    if tool.keys() != {"type", "function"} or tool["type"] != "function":
        return False
    return (
        isinstance(function, dict)
        and function.keys() <= {"name", "description", "parameters", "strict"}
        and isinstance(function.get("name"), str)
        and isinstance(function.get("description", ""), str)
        and isinstance(function.get("parameters", {}), dict)
        and isinstance(function.get("strict", True), bool)
    )


def _description(inner: Mapping[str, object]) -> str:
    """Return what a tool is for; a grammar in which its input is written is part of that."""
    said = inner.get("description")
    words = [said] if isinstance(said, str) else []
    grammar = inner.get("format")
    if isinstance(grammar, Mapping) and isinstance(grammar.get("definition"), str):
        words.append(grammar["definition"])
    return "\n".join(words)


def _schema(inner: Mapping[str, object]) -> object:
    schema = next((inner[key] for key in _SCHEMAS if inner.get(key)), None)
    if isinstance(schema, str):
        try:
            schema = orjson.loads(schema)
        except orjson.JSONDecodeError:
            return None
    if isinstance(schema, dict) and isinstance(schema.get("json"), dict):
        schema = schema["json"]  # Bedrock
    return _plain_types(schema) if isinstance(schema, dict) else None


def _plain_types(value: object) -> object:
    """Write Google's type names as JSON Schema has them: servers check the schema."""
    if isinstance(value, dict):
        return {
            key: inner.lower()
            if key == "type" and isinstance(inner, str) and inner in _GOOGLE_TYPES
            else _plain_types(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_plain_types(one) for one in value]
    return value
