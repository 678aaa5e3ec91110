"""Reassemble the events of a stream to the response as it would be without streaming.

The result has the provider's own format, so code that reads whole responses also reads streams.
"""

import json
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

from phasewise.wire.recognise import Api

Event = Mapping[str, Any]
Body = dict[str, Any]


def assembled(api: Api, events: Iterable[Event]) -> Body:
    """Return the answer; of a stream that broke off, what there is of it."""
    body: Body = {}
    add = _ADDING.get(api, _add_chat)
    for event in events:
        if isinstance(event.get("error"), Mapping | str):
            body["error"] = event["error"]
        else:
            add(body, event)
    _finish(body)
    return body


def api_of_events(api: Api, first: Event) -> Api:
    """Return the API that a stream's first event is of: a request alone may leave it open."""
    kind = str(first.get("type", ""))
    if kind.startswith("response."):
        return "openai.responses"
    if kind == "message_start":
        return "anthropic.messages"
    if "choices" in first and api not in ("openai.chat", "openai.completions"):
        return "openai.chat"
    return "google.generate_content" if "candidates" in first else api


def is_complete(event: Event) -> bool:
    """Return whether this event is the last with content: a client may leave once it has it."""
    kind = event.get("type")
    if kind in ("message_stop", "response.completed", "response.incomplete", "response.failed"):
        return True
    for name, reason in (("choices", "finish_reason"), ("candidates", "finishReason")):
        pieces = event.get(name)
        if isinstance(pieces, list) and any(
            isinstance(one, Mapping) and one.get(reason) for one in pieces
        ):
            return True
    return "messageStop" in event


def _add_chat(body: Body, event: Event) -> None:
    for name, value in event.items():
        if name != "choices" and value is not None:
            body[name] = value
    choices = body.setdefault("choices", [])
    for piece in event.get("choices") or ():
        choice = _at(choices, piece.get("index", 0))
        delta = piece.get("delta")
        if isinstance(delta, Mapping):
            message = choice.setdefault("message", {"role": "assistant", "content": None})
            _merge(message, delta)
        if isinstance(piece.get("text"), str):
            choice["text"] = choice.get("text", "") + piece["text"]
        if piece.get("finish_reason"):
            choice["finish_reason"] = piece["finish_reason"]


def _merge(into: MutableMapping[str, Any], delta: Event) -> None:
    """Add a delta: texts grow, lists grow by `index`, anything else is replaced."""
    for name, value in delta.items():
        known = into.get(name)
        if value is None or name == "index":
            continue
        if isinstance(value, str) and isinstance(known, str) and name not in _WHOLE:
            into[name] = known + value
        elif isinstance(value, list):
            grown = into[name] = known if isinstance(known, list) else []
            for place, one in enumerate(value):
                if isinstance(one, Mapping):
                    _merge(_at(grown, one.get("index", len(grown) + place)), one)
                else:
                    grown.append(one)
        elif isinstance(value, Mapping) and isinstance(known, dict):
            _merge(known, value)
        else:
            into[name] = dict(value) if isinstance(value, Mapping) else value


_WHOLE = frozenset({"role", "id", "type"})
"""texts that come whole, each time anew"""


def _add_response(body: Body, event: Event) -> None:
    kind = str(event.get("type", ""))
    if isinstance(event.get("response"), Mapping):
        output = body.get("output")
        body |= event["response"]
        if not body.get("output") and output:
            body["output"] = output
    items = body.setdefault("output", [])
    if kind in ("response.output_item.added", "response.output_item.done"):
        item = _at(items, event.get("output_index", 0))
        item.clear()
        item |= event.get("item") or {}
    elif kind.endswith(".delta") and isinstance(event.get("delta"), str):
        # only a stream that breaks off needs them: the items come whole at their end
        item = _at(items, event.get("output_index", 0))
        if "arguments" in kind:
            item["arguments"] = str(item.get("arguments") or "") + event["delta"]
        elif "text" in kind:
            parts = item.setdefault("summary" if "summary" in kind else "content", [])
            if not parts or not isinstance(parts[-1], dict):
                parts.append({"type": "output_text", "text": ""})
            parts[-1]["text"] = str(parts[-1].get("text") or "") + event["delta"]


def _add_anthropic(body: Body, event: Event) -> None:
    kind = event.get("type")
    if kind == "message_start":
        body |= event.get("message") or {}
        body["content"] = list(body.get("content") or ())
    elif kind == "content_block_start":
        block = _at(body.setdefault("content", []), event.get("index", 0))
        block |= event.get("content_block") or {}
    elif kind == "content_block_delta":
        block = _at(body.setdefault("content", []), event.get("index", 0))
        for name, value in (event.get("delta") or {}).items():
            if name == "partial_json":
                block[_UNFINISHED] = block.get(_UNFINISHED, "") + value
            elif name == "citation":
                block.setdefault("citations", []).append(value)
            elif name != "type":
                block[name] = (block.get(name) or "") + value if isinstance(value, str) else value
    elif kind == "message_delta":
        body |= {name: value for name, value in (event.get("delta") or {}).items() if value}
        body["usage"] = {**(body.get("usage") or {}), **(event.get("usage") or {})}


def _add_google(body: Body, event: Event) -> None:
    for name, value in event.items():
        if name != "candidates":
            body[name] = value
    candidates = body.setdefault("candidates", [])
    for piece in event.get("candidates") or ():
        candidate = _at(candidates, piece.get("index", 0))
        content = candidate.setdefault("content", {"role": "model", "parts": []})
        for part in (piece.get("content") or {}).get("parts") or ():
            parts = content["parts"]
            if parts and set(part) == set(parts[-1]) <= {"text", "thought"}:
                parts[-1]["text"] += part["text"]
            else:
                parts.append(dict(part))
        candidate |= {name: value for name, value in piece.items() if name != "content"}


def _add_bedrock(body: Body, event: Event) -> None:
    message = body.setdefault("output", {}).setdefault(
        "message", {"role": "assistant", "content": []}
    )
    if "contentBlockStart" in event or "contentBlockDelta" in event:
        piece = event.get("contentBlockStart") or event["contentBlockDelta"]
        block = _at(message["content"], piece.get("contentBlockIndex", 0))
        for name, value in (piece.get("start") or piece.get("delta") or {}).items():
            if isinstance(value, Mapping):
                _merge(block.setdefault(name, {}), value)
            else:
                block[name] = block.get(name, "") + value
    elif "messageStop" in event:
        body |= event["messageStop"]
    elif "metadata" in event:
        body |= event["metadata"]
    elif any(name.endswith("Exception") for name in event):
        body["error"] = next(iter(event.values()))


_UNFINISHED = "partial_json"
"""a tool's input while it comes; replaced by the input at the end"""
_ADDING: Mapping[Api, Callable[[Body, Event], None]] = {
    "openai.responses": _add_response,
    "anthropic.messages": _add_anthropic,
    "google.generate_content": _add_google,
    "bedrock.converse": _add_bedrock,
}


def _finish(body: Body) -> None:
    for block in body.get("content") or ():
        if isinstance(block, dict) and _UNFINISHED in block:
            block["input"] = _parsed(block.pop(_UNFINISHED))
    message = body["output"].get("message", {}) if isinstance(body.get("output"), dict) else {}
    for block in message.get("content") or ():
        use = block.get("toolUse")
        if isinstance(use, dict) and isinstance(use.get("input"), str):
            use["input"] = _parsed(use["input"])


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _at(items: list[Any], place: object) -> dict[str, Any]:
    """Return the object at a place, made where there is none."""
    wanted = place if isinstance(place, int) and 0 <= place < _MOST_ITEMS else len(items)
    while len(items) <= wanted:
        items.append({})
    found = items[wanted]
    assert isinstance(found, dict)
    return found


_MOST_ITEMS = 10_000
"""an index beyond is a broken stream's"""
