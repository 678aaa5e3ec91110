"""Messages and tools in forms that omit one aspect: reasoning, surrounding fields, order."""

import re
from collections import Counter
from collections.abc import Mapping

from phasewise_analyzer.diagnosis.parts import dumped, parsed, text_of, tool_name

REASONING_TYPES = frozenset(
    {"thinking", "redacted_thinking", "reasoning", "reasoning_content", "reasoningContent"}
)
REASONING_KEYS = frozenset(
    {
        *("reasoning", "reasoning_content", "reasoning_details", "thinking", "thinking_blocks"),
        *("thoughtSignature", "thought_signature", "reasoning_text", "encrypted_content"),
        "reasoning_opaque",
    }
)
_THINK = re.compile(r"<(think|thinking|thought|reasoning)>")
_TEMPLATE = re.compile(
    r"<\|[^|>\n]{1,40}\|>|<\uff5c[^\uff5c>\n]{1,40}\uff5c>|\[/?INST\]|<</?SYS>>|</?s>|<bos>|<eos>"
    r"|<(?:start|end)_of_turn>|</?think>"
    r"|^[ \t]*(?:system|user|assistant|model|tool|human|ai)[ \t]*:?[ \t]*$"
    r"|^(?:### ?)?(?:System|User|Assistant|Human|AI|Instruction|Response): ?",
    re.MULTILINE | re.IGNORECASE,
)
_WRAPPER_KEYS = frozenset(
    {
        *("annotations", "refusal", "audio", "function_call", "name", "id", "status", "index"),
        *("logprobs", "citations", "is_error", "isError", "phase", "type", "object", "metadata"),
        *("tool_calls", "strict", "parsed", "provider_specific_fields", "created", "model"),
        *("stop_reason", "finish_reason", "usage", "provider_options", "providerOptions"),
        *("caller", "summary", "stop_sequence", "additional_kwargs", "response_metadata"),
        *("encrypted_content", "signature"),
    }
)
"""fields that may stand around the same message; left out where only one side has them"""
_AROUND_BLOCK = _WRAPPER_KEYS - {
    *("type", "name", "id", "summary", "encrypted_content", "signature")
}


def is_reasoning(value: object) -> bool:
    """Return whether a part, or a message, is reasoning and nothing else."""
    if not isinstance(value, Mapping):
        return False
    if str(value.get("type")) in REASONING_TYPES or value.get("thought") is True:
        return True
    content = value.get("content", value.get("parts"))
    return isinstance(content, list) and bool(content) and all(map(is_reasoning, content))


def reasoning_in(value: object) -> int:
    """Count the pieces of reasoning in an answer of the model."""
    if isinstance(value, str):
        return _without_tags(value)[1]
    if isinstance(value, list):
        return sum(map(reasoning_in, value))
    if not isinstance(value, dict):
        return 0
    if is_reasoning(value):
        return 1
    return sum(
        1 if key in REASONING_KEYS and inner else reasoning_in(inner)
        for key, inner in value.items()
    )


def without_reasoning(value: object) -> object:
    """Return an answer of the model without its reasoning; other messages as they are."""
    if isinstance(value, str):
        return _without_tags(value)[0]
    if not isinstance(value, dict) or value.get("role") not in ("assistant", "model"):
        return value
    return _without_reasoning(value)


def _without_tags(text: str) -> tuple[str, int]:
    """Take out what stands in tags of reasoning, and count it; a tag that never closes is text."""
    kept: list[str] = []
    unclosed: set[str] = set()
    at = 0
    for found in _THINK.finditer(text):
        if found.start() < at or found[1] in unclosed:
            continue
        close = text.find(f"</{found[1]}>", found.end())
        if close < 0:
            unclosed.add(found[1])
            continue
        kept.append(text[at : found.start()])
        at = close + len(found[0]) + 1
    if not kept:
        return text, 0
    return "".join(kept) + text[at:].lstrip(), len(kept)


def _without_reasoning(value: object) -> object:
    if isinstance(value, str):
        return _without_tags(value)[0]
    if isinstance(value, list):
        kept = [_without_reasoning(one) for one in value if not is_reasoning(one)]
        return _one_text(kept) or kept
    if isinstance(value, dict):
        return {
            key: _without_reasoning(inner)
            for key, inner in value.items()
            if key not in REASONING_KEYS and not (key == "type" and inner == "thinking")
        }
    return value


def _one_text(blocks: list[object]) -> object:
    if len(blocks) == 1 and isinstance(blocks[0], dict) and set(blocks[0]) == {"type", "text"}:
        return blocks[0]["text"]
    return None


def same_but_wrapper(one: object, two: object) -> bool:
    """Return whether two messages, tools or raw texts say the same in another form."""
    if isinstance(one, str) and isinstance(two, str):
        return without_template(one) == without_template(two) != ""
    if not isinstance(one, dict) or not isinstance(two, dict):
        return False
    if tool_name(one.get("function", one)) and _tool_form(one) is not None:
        return _tool_form(one) == _tool_form(two)
    if one.get("role") != two.get("role"):
        return False
    shared = {key for key in one.keys() & two.keys() if not _is_nothing(one, two, key)}
    if any(
        one[key] != two[key] for key in shared & _WRAPPER_KEYS if key not in ("tool_calls", "type")
    ):
        return False
    return _said(one) == _said(two)


def content_of(value: object) -> object:
    """Return what a message says without who says it."""
    if isinstance(value, dict):
        return {key: inner for key, inner in value.items() if key != "role"}
    return value


def same_parts_in_another_order(one: object, two: object) -> bool:
    """Return whether two messages have the same parts, or calls, in another order."""
    if not isinstance(one, dict) or not isinstance(two, dict) or one.keys() != two.keys():
        return False
    differing = [key for key in one if dumped(one[key]) != dumped(two[key])]
    return bool(differing) and all(_is_permuted(one[key], two[key]) for key in differing)


def _is_permuted(one: object, two: object) -> bool:
    return (
        isinstance(one, list)
        and isinstance(two, list)
        and Counter(map(dumped, one)) == Counter(map(dumped, two))
    )


def _is_nothing(one: Mapping[str, object], two: Mapping[str, object], key: str) -> bool:
    return one[key] in (None, [], "", False) or two[key] in (None, [], "", False)


def without_template(text: str) -> str:
    """Return the words of a rendered prompt without the template's own tokens."""
    return "".join(_TEMPLATE.sub("", text).split())


def _said(message: Mapping[str, object]) -> tuple[str, list[bytes], list[bytes]]:
    """Return a message's words, its calls, and what else it holds."""
    calls = message.get("tool_calls")
    rest = {
        key: value
        for key, value in message.items()
        if key not in _WRAPPER_KEYS and key not in ("role", "content", "parts") and value
    }
    content = message.get("content", message.get("parts"))
    others = []
    if isinstance(content, list):
        others = [_block(block) for block in content if not _is_plain_text(block)]
    return (
        "".join((text_of(content) if not others else _texts(content)).split()),
        [_call(call) for call in calls] if isinstance(calls, list) else [],
        [*others, dumped(dict(sorted(rest.items())))],
    )


def _texts(content: object) -> str:
    blocks = content if isinstance(content, list) else [content]
    return "".join(text_of(block) for block in blocks if _is_plain_text(block))


def _is_plain_text(block: object) -> bool:
    return isinstance(block, str) or (
        isinstance(block, Mapping)
        and isinstance(block.get("text"), str)
        and not is_reasoning(block)
    )


def _block(block: object) -> bytes:
    """Write a block without the fields that may stand around it."""
    if not isinstance(block, Mapping):
        return dumped(block)
    kept = {key: value for key, value in block.items() if key not in _AROUND_BLOCK and value}
    for holder in ("functionCall", "functionResponse"):
        inner = kept.get(holder)
        if isinstance(inner, Mapping):
            kept[holder] = {key: value for key, value in inner.items() if key != "id"}
    return dumped(dict(sorted(kept.items())))


def _call(call: object) -> bytes:
    """Write a tool call without the fields that may stand around it."""
    if not isinstance(call, Mapping):
        return dumped(call)
    inner = call.get("function")
    named: Mapping[str, object] = inner if isinstance(inner, Mapping) else call
    arguments = named.get("arguments", named.get("input", named.get("args")))
    if isinstance(arguments, str):
        arguments = parsed(arguments) or arguments
    return dumped([call.get("id"), named.get("name"), arguments])


def _tool_form(tool: Mapping[str, object]) -> tuple[object, object, object] | None:
    """Return name, description and schema of a tool, whichever API wrote it."""
    inner = tool.get("function", tool.get("toolSpec", tool))
    if not isinstance(inner, Mapping) or "role" in tool:
        return None
    names = ("parameters", "input_schema", "inputSchema", "parametersJsonSchema")
    schema = next((inner[name] for name in names if name in inner), None)
    if schema is None and "description" not in inner:
        return None
    known = {"name", "description", "type", "function", "toolSpec", *names}
    if any(value for key, value in inner.items() if key not in known):
        return None
    return inner.get("name"), inner.get("description"), dumped(schema)
