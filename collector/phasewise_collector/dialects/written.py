"""Write a message or a tool as a segment, its cache breakpoint apart."""

from typing import NamedTuple

import orjson
from phasewise_store.facts import Segment, SegmentKind
from phasewise_store.segments import encoded_segment

from phasewise_collector.dialects import cache_markers, media
from phasewise_collector.dialects.chat_values import Message


class Written(NamedTuple):
    """A segment, and the breakpoint that stood in it."""

    segment: Segment
    marked: bool = False
    ttl: str | None = None
    """the lifetime that the breakpoint asks for"""


def message(value: Message) -> Written:
    """Write a message."""
    role = str(value.get("role", "user"))
    return _written("system" if role in ("system", "developer") else "message", value, role)


def tool(definition: object) -> Written:
    """Write the definition of a tool."""
    return _written("tool", definition, None)


def _written(kind: SegmentKind, value: object, role: str | None) -> Written:
    raw = orjson.dumps(value, default=str)
    if media.may_hold(raw):
        value = media.without(value)
        raw = orjson.dumps(value, default=str)
    if not cache_markers.may_hold(raw):
        return Written(encoded_segment(kind, raw, role))
    clean, marked, ttl = cache_markers.split(value)
    if marked:
        raw = orjson.dumps(clean, default=str)
    return Written(encoded_segment(kind, raw, role), marked, ttl)
