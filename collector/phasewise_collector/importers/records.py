"""Read the JSON values of a file, however they stand in it.

One document; one value a line; indented values one behind the other, as console exporters print
them, also JavaScript's; a table with a line of names (CSV). Called by the importers of other tools'
exports.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from json import JSONDecoder
from typing import NamedTuple

import orjson

from phasewise_collector.importers import javascript
from phasewise_collector.importers.importer import Skipped, Trace
from phasewise_collector.importers.json_text import BadJsonError, parse

_BOM = b"\xef\xbb\xbf"
_DECODER = JSONDecoder()
_OPENING = ("{", "[")
_MOST_CHARACTERS = 1 << 30
"""of a cell: prompts are long"""


class Found(NamedTuple):
    """A value, and the line on which it starts."""

    line: int
    value: object


def values(trace: Trace) -> Iterator[Found | Skipped]:
    """Give the file's values in their order, and what is no JSON."""
    data = trace.data.removeprefix(_BOM)
    if not data.strip():
        yield Skipped(None, trace.damage or "the file is empty")
        return
    try:
        yield Found(1, orjson.loads(data))
    except orjson.JSONDecodeError:
        if _is_line(data):
            yield from _lines(data)
        elif javascript.is_printed(data):
            yield from _stream(javascript.as_json(data.decode("utf-8", "replace")))
        else:
            yield from _stream(data.decode("utf-8", "replace"))
    if trace.damage is not None:
        yield Skipped(None, f"{trace.damage}; what follows is lost")


def is_json(head: bytes) -> bool:
    """Say whether a file starts as an object or a list does."""
    return head.removeprefix(_BOM).lstrip().startswith((b"{", b"["))


def rows(trace: Trace) -> Iterator[Found | Skipped]:
    """Give the rows of a table as objects; JSON in a cell is parsed, an empty cell is left out."""
    text = trace.data.decode("utf-8-sig", "replace")
    csv.field_size_limit(_MOST_CHARACTERS)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            cells = {name: _cell(value) for name, value in row.items() if name and value}
            yield Found(reader.line_num, cells)
    except csv.Error as error:
        yield Skipped(reader.line_num, f"no row of a table: {error}")


def columns(head: bytes) -> frozenset[str]:
    """Give the names of a table's columns; none where the head starts no table."""
    first = head.removeprefix(_BOM).partition(b"\n")[0].decode("utf-8", "replace")
    csv.field_size_limit(_MOST_CHARACTERS)
    return frozenset() if is_json(head) else frozenset(next(csv.reader([first]), ()))


def _cell(value: str | Sequence[str]) -> object:
    if not isinstance(value, str) or value[:1] not in _OPENING:
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _is_line(data: bytes) -> bool:
    """Say whether the first line that holds anything is a whole value."""
    first = data.lstrip().partition(b"\n")[0]
    try:
        parse(first)
    except BadJsonError:
        return first.rstrip().endswith(b"}") and first.startswith(b"{")
    return True


def _lines(data: bytes) -> Iterator[Found | Skipped]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            try:
                yield Found(number, parse(line))
            except BadJsonError as error:
                yield Skipped(number, str(error))


def _stream(text: str) -> Iterator[Found | Skipped]:
    """Read values one behind the other; behind what is no JSON, go on at the next line."""
    place = line = 0
    seen = 0
    while True:
        while text[place : place + 1] in (" ", "\n", "\r", "\t", ",") and place < len(text):
            place += 1
        line += text.count("\n", seen, place)
        seen = place
        if place >= len(text):
            return
        try:
            _, end = _DECODER.raw_decode(text, place)
            yield Found(line + 1, parse(text[place:end].encode("utf-8", "surrogatepass")))
        except (ValueError, RecursionError) as error:
            yield Skipped(line + 1, f"not JSON: {error}")
            end = text.find("\n{", place)
            if end < 0:
                return
        place = end
