"""Reassemble a streamed response (server-sent events) to the response it would have been.

OpenAI chat chunks, OpenAI responses events, Anthropic events; the last usage in the stream counts.
"""

from collections.abc import Iterator, Mapping

import orjson

Body = dict[str, object]


def assembled(stream: str) -> Body | None:
    """Return the body; None where the stream is of none of these."""
    body: Body = {}
    text: list[str] = []
    for event in _events(stream):
        kind = event.get("type")
        if "choices" in event:
            _add_chunk(body, text, event)
        elif kind == "response.completed" and isinstance(event.get("response"), Mapping):
            return dict(_inner(event, "response"))
        elif kind == "message_start":
            body |= _inner(event, "message")
        elif kind == "content_block_delta":
            text.append(str(_inner(event, "delta").get("text") or ""))
        elif kind == "message_delta":
            known = body.get("usage")
            body["usage"] = {
                **(known if isinstance(known, Mapping) else {}),
                **_inner(event, "usage"),
            }
            reason = _inner(event, "delta").get("stop_reason")
            body["stop_reason"] = reason or body.get("stop_reason")
    if not body:
        return None
    written = "".join(text)
    if body.get("type") == "message":
        body["content"] = [{"type": "text", "text": written}]
    else:
        message = {"role": "assistant", "content": written}
        body["choices"] = [
            {"index": 0, "message": message, "finish_reason": body.pop("reason", None)}
        ]
    return body


def _add_chunk(body: Body, text: list[str], event: Mapping[str, object]) -> None:
    for key in ("id", "model", "created", "provider", "usage"):
        if event.get(key) is not None:
            body[key] = event[key]
    choices = event["choices"]
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, Mapping):
            text.append(str(_inner(choice, "delta").get("content") or ""))
            body["reason"] = choice.get("finish_reason") or body.get("reason")


def _events(stream: str) -> Iterator[Mapping[str, object]]:
    for line in stream.splitlines():
        if not line.startswith("data:"):
            continue
        try:
            parsed = orjson.loads(line.removeprefix("data:").strip())
        except orjson.JSONDecodeError:
            continue  # `[DONE]`, a comment
        if isinstance(parsed, dict):
            yield parsed


def _inner(fields: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = fields.get(name)
    return found if isinstance(found, Mapping) else {}
