"""Return whether an event of a stream carries output: the first that does is the first token.

`response.created`, `message_start`, a role alone and empty text are none: they come before the
model has read the prompt.
"""

from collections.abc import Mapping

Event = Mapping[str, object]
_DELTAS = ("content", "tool_calls", "reasoning_content", "reasoning", "refusal", "function_call")
_AUDIO = ("audio", "reasoning_details")


def carries_output(event: Event) -> bool:
    """Tell for an event of any of the APIs."""
    kind = event.get("type")
    if isinstance(kind, str):
        if kind.startswith("response."):
            return _of_responses(kind, event)
        return _of_anthropic(kind, event)
    if "choices" in event:
        return any(map(_of_choice, _list(event["choices"])))
    if "candidates" in event:
        return any(map(_of_candidate, _list(event["candidates"])))
    return _of_bedrock(event)


def _of_choice(choice: Event) -> bool:
    delta = _mapping(choice.get("delta"))
    return bool(choice.get("text")) or any(delta.get(name) for name in (*_DELTAS, *_AUDIO))


def _of_responses(kind: str, event: Event) -> bool:
    if kind.endswith(".delta"):
        return bool(event.get("delta"))
    item = _mapping(event.get("item"))
    # the name of the function is output; an empty message or reasoning item is not
    return kind == "response.output_item.added" and str(item.get("type")).endswith("_call")


def _of_anthropic(kind: str, event: Event) -> bool:
    if kind == "content_block_delta":
        delta = _mapping(event.get("delta"))
        return any(value for name, value in delta.items() if name != "type")
    block = _mapping(event.get("content_block"))
    if kind != "content_block_start":
        return False
    return bool(block.get("name") or block.get("text") or block.get("thinking"))


def _of_candidate(candidate: Event) -> bool:
    parts = _list(_mapping(candidate.get("content")).get("parts"))
    return any(value for part in parts for name, value in part.items() if name != "thought")


def _of_bedrock(event: Event) -> bool:
    delta = _mapping(_mapping(event.get("contentBlockDelta")).get("delta"))
    start = _mapping(_mapping(event.get("contentBlockStart")).get("start"))
    return any(delta.values()) or bool(start.get("toolUse"))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
