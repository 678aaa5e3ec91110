"""What Anthropic's messages and OpenAI's Responses refuse, as far as a replay sends it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Body = Mapping[str, Any]


def messages_refusal(body: Body) -> str | None:
    """Say why a server would not answer a request to `/v1/messages`; None where it would."""
    return next(_of_messages(body), None) or next(_of_common(body, "input_schema"), None)


def responses_refusal(body: Body) -> str | None:
    """Say why a server would not answer a request to `/v1/responses`; None where it would."""
    return next(_of_items(body), None) or next(_of_common(body, "parameters"), None)


def _of_messages(body: Body) -> Iterator[str]:
    if body.get("max_tokens", 0) < 1:
        yield "max_tokens must be at least 1"
    if not isinstance(body.get("system", ""), str):
        yield "system is no text"
    asked: list[str] = []
    used: set[str] = set()
    for place, message in enumerate(body["messages"]):
        where = f"messages[{place}]"
        if message.keys() != {"role", "content"} or message["role"] not in ("user", "assistant"):
            yield f"{where}: {message['role']} with {sorted(message)}"
        blocks = message["content"]
        blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
        if not blocks:
            yield f"{where}: nothing is said"
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        last = place + 1 == len(body["messages"])  # a turn may be sent before all tools are done
        if sorted(answered) != sorted(asked) and not (last and set(answered) < set(asked)):
            yield f"{where}: {asked} are asked and {answered} answered"
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if used & set(asked) or (asked and message["role"] != "assistant"):
            yield f"{where}: calls {asked}"
        used |= set(asked)
        yield from (f"{where}: {block}" for block in blocks if not _is_block(block))


def _is_block(block: Body) -> bool:
    if block["type"] == "text":
        return block.keys() == {"type", "text"} and bool(block["text"])
    if block["type"] == "tool_use":
        return block.keys() == {"type", "id", "name", "input"} and isinstance(block["input"], dict)
    is_result = (
        block.keys() == {"type", "tool_use_id", "content"} and block["type"] == "tool_result"
    )
    content = block.get("content")
    parts = content if isinstance(content, list) else []
    return is_result and (isinstance(content, str) or all(map(_is_block, parts)))


def _of_items(body: Body) -> Iterator[str]:
    if body.get("max_output_tokens", 0) < 1:
        yield "max_output_tokens must be at least 1"
    if not isinstance(body.get("instructions", ""), str):
        yield "instructions are no text"
    if not body["input"]:
        yield "no input"
    open_calls: set[str] = set()
    used: set[str] = set()
    for place, item in enumerate(body["input"]):
        kind = item.get("type")
        if kind == "function_call":
            right = item.keys() == {"type", "call_id", "name", "arguments"}
            right = right and isinstance(json.loads(item["arguments"]), dict)
            right = right and item["call_id"] not in used
            used.add(item["call_id"])
            open_calls.add(item["call_id"])
        elif kind == "function_call_output":
            right = item.keys() == {"type", "call_id", "output"} and isinstance(item["output"], str)
            right = right and item["call_id"] in open_calls
            open_calls.discard(item["call_id"])
        else:
            right = item.keys() == {"role", "content"} and item["role"] in ("user", "assistant")
            right = right and isinstance(item["content"], str) and not open_calls
        if not right:
            yield f"input[{place}]: {item}"


def _of_common(body: Body, schema: str) -> Iterator[str]:
    for tool in body.get("tools", ()):
        named = isinstance(tool.get("name"), str) and isinstance(tool.get("description"), str)
        if not named or not isinstance(tool.get(schema), dict):
            yield f"tool {tool}"
