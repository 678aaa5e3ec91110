"""Make segments of chat messages: a segment holds one message as the JSON a chat API takes.

So a replay sends it on byte for byte, tool calls included. The tools that a call offered are
recorded by neither format that uses this.
"""

import orjson
from phasewise_store.facts import Segment
from phasewise_store.segments import encoded_segment

from phasewise_collector.dialects import media
from phasewise_collector.importers.fields import BadRecordError, Record, items, record, text

Message = dict[str, object]


def segment(message: Message) -> Segment:
    """Make the segment of one message; raises BadRecordError for what JSON cannot hold."""
    role = str(message["role"])
    try:
        written = orjson.dumps(message)
        if media.may_hold(written):
            written = orjson.dumps(media.without(message))
    except TypeError as error:  # a number of more than 64 bits, nesting without end
        raise BadRecordError(str(error)) from error
    return encoded_segment("system" if role == "system" else "message", written, role)


class Segments:
    """Gives the same object for the same message, however often a history repeats it."""

    def __init__(self) -> None:
        self._made: dict[bytes, Segment] = {}

    def of(self, message: Message) -> Segment:
        """Return the segment of one message."""
        made = segment(message)
        return self._made.setdefault(made.digest, made)


def tool_calls(fields: Record) -> list[Record]:
    """Take the tool calls of a message; none where the list is missing or null."""
    if fields.get("tool_calls") is None:
        return []
    return [record(call, "a tool call") for call in items(fields, "tool_calls")]


def content(fields: Record) -> str:
    """Take a message's text: empty where it is null, its text parts where it is a list of parts."""
    value = fields.get("content")
    if value is None:
        return ""
    if isinstance(value, list):
        parts = [record(part, "a part of `content`") for part in value]
        return "".join(text(part, "text") for part in parts if part.get("type") == "text")
    return text(fields, "content")


def input_tokens(prompt: tuple[Segment, ...]) -> int:
    """Return the tokens of a prompt by the estimate that its segments carry."""
    return sum(part.tokens for part in prompt)
