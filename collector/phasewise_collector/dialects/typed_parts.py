"""OpenTelemetry's messages: each has a role and typed parts."""

from collections.abc import Iterator, Mapping, Sequence

from phasewise_collector.dialects.aliases import Attributes
from phasewise_collector.dialects.chat_values import Message, parsed, plain, tool_call
from phasewise_collector.dialects.histories import HERE, Histories
from phasewise_collector.dialects.written import Written


def prompt(attributes: Attributes) -> Iterator[Message | Written]:
    """Return the system instructions and the messages that were sent."""
    instructions = parsed(attributes.get("gen_ai.system_instructions"))
    if isinstance(instructions, list) and instructions:
        yield {"role": "system", "content": _text_of(instructions)}
    elif isinstance(instructions, str):
        yield {"role": "system", "content": instructions}
    read = _HISTORIES.read(attributes.get("gen_ai.input.messages"))
    if read is not None and read.document == HERE:
        yield from read.messages
    else:
        yield from messages(attributes.get("gen_ai.input.messages"))


def messages(value: object) -> Iterator[Message]:
    """Read OpenTelemetry's messages: a role and typed parts each."""
    found = parsed(value)
    for message in found if isinstance(found, list) else ():
        yield from _of_parts(message)


def _of_parts(message: object) -> Iterator[Message]:
    """Read one of OpenTelemetry's messages; each result of a tool in it is a message of its own."""
    if not isinstance(message, dict):
        return
    simple = _one_text(message)
    if simple is not None:
        yield simple
        return
    listed = message.get("parts")
    parts = [part for part in listed if isinstance(part, dict)] if isinstance(listed, list) else []
    results = [part for part in parts if part.get("type") == "tool_call_response"]
    for part in results:
        answer = part.get("response", part.get("result"))
        yield {"role": "tool", "tool_call_id": part.get("id"), "content": plain(answer)}
    if results and len(results) == len(parts):
        return
    others = any(part.get("type") in _MEDIA for part in parts)
    said = [_chat_part(part) for part in parts if _is_said(part)] if others else _text_of(parts)
    made: Message = {"role": message.get("role", "user"), "content": said}
    if "content" in message and not parts:
        made["content"] = message["content"]
    calls = [part for part in parts if part.get("type") == "tool_call"]
    if calls:
        made["tool_calls"] = [
            tool_call(call.get("id"), call.get("name"), call.get("arguments")) for call in calls
        ]
    yield made


def _is_said(part: Mapping[str, object]) -> bool:
    return part.get("type") in (*_MEDIA, "text", None)


def _chat_part(part: Mapping[str, object]) -> Mapping[str, object]:
    """Return a part as a chat API has it; what it has no form for stays as it is."""
    if part.get("type") in ("text", None):
        return {"type": "text", "text": str(part.get("content", ""))}
    if part.get("type") == "uri":
        is_image = part.get("modality") == "image"
        return {"type": "image_url", "image_url": {"url": part.get("uri")}} if is_image else part
    if part.get("type") == "blob" and str(part.get("mime_type")).startswith("image/"):
        source = {
            "type": "base64",
            "media_type": part.get("mime_type"),
            "data": part.get("content"),
        }
        return {"type": "image", "source": source}
    return part


def _one_text(message: Mapping[str, object]) -> Message | None:
    """Read the message that most are: one part, of text."""
    parts = message.get("parts")
    if not isinstance(parts, list) or len(parts) != 1:
        return None
    (part,) = parts
    if isinstance(part, dict) and part.get("type") == "text" and "content" not in message:
        return {"role": message.get("role", "user"), "content": str(part.get("content", ""))}
    return None


def _text_of(parts: Sequence[object]) -> str:
    return "".join(
        str(part.get("content", ""))
        for part in parts
        if isinstance(part, dict) and part.get("type") in ("text", None)
    )


_MEDIA = ("blob", "uri", "file")
_HISTORIES = Histories(_of_parts)
