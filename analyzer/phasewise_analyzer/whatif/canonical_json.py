"""Repair: write all JSON of a prompt in one form, with sorted keys and without whitespace.

This includes JSON inside a string (the arguments of a tool call).
"""

from collections.abc import Sequence

import orjson
from phasewise_store.facts import Segment

from phasewise_analyzer.diagnosis.parts import parsed
from phasewise_analyzer.whatif import json_strings
from phasewise_analyzer.whatif.layout import Laid
from phasewise_analyzer.whatif.moved_spans import Places


def canonical(calls: Sequence[Laid], places: Places) -> tuple[Laid, ...]:
    """Re-write the prompts of the agents that findings name."""
    known: dict[bytes, Segment] = {}
    return tuple(
        one.with_prompt(tuple(_canonical(part, known) for part in one.prompt))
        if one.agent in places
        else one
        for one in calls
    )


def _canonical(segment: Segment, known: dict[bytes, Segment]) -> Segment:
    if segment.digest not in known:
        value = parsed(segment.content or b"")
        written = segment.content if value is None else _written(value)
        known[segment.digest] = segment if written is None else json_strings.made(segment, written)
    return known[segment.digest]


def _written(value: object) -> bytes:
    return orjson.dumps(_inside(value), option=orjson.OPT_SORT_KEYS)


def _inside(value: object) -> object:
    if isinstance(value, str):
        inner = parsed(value)
        return value if inner is None else _written(inner).decode()
    if isinstance(value, dict):
        return {key: _inside(one) for key, one in value.items()}
    return [_inside(one) for one in value] if isinstance(value, list) else value
