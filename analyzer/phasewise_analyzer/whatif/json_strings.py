"""The strings inside a segment's JSON, by path: what a repair of its text may change."""

from collections.abc import Iterator, Mapping

import orjson
from phasewise_store.facts import Segment
from phasewise_store.segments import encoded_segment

from phasewise_analyzer.diagnosis.parts import parsed

Path = tuple[str | int, ...]


def strings(segment: Segment) -> dict[Path, str]:
    """Return the strings of a segment; the text itself, at the empty path, where it is no JSON."""
    raw = segment.content or b""
    value = parsed(raw)
    if value is None:
        return {(): raw.decode("utf-8", "surrogatepass")}
    return dict(_strings(value, ()))


def with_strings(segment: Segment, changed: Mapping[Path, str]) -> Segment:
    """Return the segment with some of its strings replaced."""
    if segment.content is None or not changed:
        return segment
    if () in changed:
        return made(segment, changed[()].encode("utf-8", "surrogatepass"))
    value = parsed(segment.content)
    return made(segment, orjson.dumps(_replaced(value, (), changed)))


def with_more(segment: Segment, text: str) -> Segment:
    """Return a message with a text appended to its own."""
    value = parsed(segment.content or b"")
    if isinstance(value, dict):
        for key, block in (("content", {"type": "text", "text": text}), ("parts", {"text": text})):
            held = value.get(key)
            if isinstance(held, str):
                return made(segment, orjson.dumps({**value, key: f"{held}\n\n{text}"}))
            if isinstance(held, list):
                return made(segment, orjson.dumps({**value, key: [*held, block]}))
    raw = (segment.content or b"").rstrip(b"\n")
    return made(segment, raw + b"\n\n" + text.encode("utf-8", "surrogatepass"))


def made(segment: Segment, raw: bytes) -> Segment:
    """Make the segment of another text in the same place."""
    return encoded_segment(segment.kind, raw, segment.role)


def _strings(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _strings(inner, (*path, place))


def _replaced(value: object, path: Path, changed: Mapping[Path, str]) -> object:
    if isinstance(value, str):
        return changed.get(path, value)
    if isinstance(value, dict):
        return {key: _replaced(inner, (*path, key), changed) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, (*path, place), changed) for place, inner in enumerate(value)]
    return value
