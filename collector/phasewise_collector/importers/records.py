"""Read the JSON values of a file in any layout.

One document; one value per line; concatenated indented values, as console exporters print them,
including JavaScript's; a table with a header line (CSV). Used by the importers of other tools'
exports.
"""

from collections.abc import Iterator
from typing import NamedTuple

import orjson

from phasewise_collector.importers import javascript, tables
from phasewise_collector.importers.importer import Skipped, Trace
from phasewise_collector.importers.json_text import (
    BadJsonError,
    by_line,
    one_behind_the_other,
    parse,
)

_OPENING = ("{", "[")


class Found(NamedTuple):
    """A value, and the line on which it starts."""

    line: int
    value: object


def values(trace: Trace) -> Iterator[Found | Skipped]:
    """Return the file's values in their order, and what is no JSON."""
    if not trace.data.strip():
        yield Skipped(None, trace.damage or "the file is empty")
        return
    for line, value in _values(trace.data):
        yield (Skipped(line, str(value)) if isinstance(value, BadJsonError) else Found(line, value))
    if trace.damage is not None:
        yield Skipped(None, f"{trace.damage}; what follows is lost")


def is_json(head: bytes) -> bool:
    """Return whether a file starts as an object or a list does."""
    return head.lstrip().startswith((b"{", b"["))


def rows(trace: Trace) -> Iterator[Found | Skipped]:
    """Return the rows of a table as objects; JSON in cells is parsed, empty cells are skipped."""
    for part in tables.rows(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        line, row = part
        yield Found(line, {name: _cell(value) for name, value in row.items() if name and value})


def _values(data: bytes) -> Iterator[tuple[int, object]]:
    """Return each value, or the error, with its line."""
    try:
        return iter([(1, orjson.loads(data))])
    except orjson.JSONDecodeError:
        if _is_line(data):
            return by_line(data)
    text = data.decode("utf-8", "replace")
    return one_behind_the_other(javascript.as_json(text) if javascript.is_printed(data) else text)


def _cell(value: str) -> object:
    if value[:1] not in _OPENING:
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _is_line(data: bytes) -> bool:
    """Return whether the first line that holds anything is a whole value."""
    first = data.lstrip().partition(b"\n")[0]
    try:
        parse(first)
    except BadJsonError:
        return first.rstrip().endswith(b"}") and first.startswith(b"{")
    return True
