"""Parse JSON that may be partly wrong, and report the line of a value."""

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import orjson

Key = str | int

_BLANK = re.compile(r"[ \t\n\r]*")
_BLANK_BYTES = re.compile(rb"[ \t\n\r]*")
_BETWEEN_VALUES = re.compile(r"[ \t\n\r,]*")
_PADDING = b" \t\r\0"
"""zero bytes are what a crash leaves at the end of a file"""
_NEXT_VALUE = re.compile(r"(?<=\n)\{")
_DECODER = json.JSONDecoder()
_MOST_BITS = 63


class BadJsonError(ValueError):
    """Text that is no JSON; `line` counts from 1."""

    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(reason)
        self.line = line


def parse(data: bytes) -> object:
    """Parse one JSON value; NaN and lone surrogates, which JSON forbids, are let through.

    NaN is left for the field's own check to name; a surrogate becomes U+FFFD. Raises BadJsonError.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _parse_leniently(_decoded(data))


def documents(data: bytes) -> Iterator[tuple[int, object]] | None:
    """Return the JSON values of a text in which they take several lines each, with their lines.

    Values stand one behind the other, as `jq .` writes them, or in one array. A value that is no
    JSON comes as a BadJsonError, and the next that begins on a line of its own goes on. None where
    the text is not of this kind: its first value takes one line, or is not whole.
    """
    start = _BLANK_BYTES.match(data)
    begins = start.end() if start is not None else 0
    if data[begins : begins + 1] not in (b"{", b"["):
        return None
    first_line = data[begins:].split(b"\n", 1)[0]
    if first_line.startswith(b"{") and _is_whole(first_line):
        return None
    try:
        text = data.decode("utf-8", "surrogatepass")
        _DECODER.raw_decode(text, _skip(text, 0))
    except (ValueError, RecursionError):
        return None
    return _documents(text)


def by_line(data: bytes, *, begins: bytes = b"") -> Iterator[tuple[int, object]]:
    """Return the number and the value, or the BadJsonError, of each line that begins like this."""
    for number, line in enumerate(data.split(b"\n"), start=1):
        text = line.strip(_PADDING)
        if not text or not text.startswith(begins):
            continue
        try:
            yield number, parse(text)
        except BadJsonError as error:
            yield number, error


def one_behind_the_other(text: str) -> Iterator[tuple[int, object]]:
    """Return the line and the value, or the BadJsonError, of each value of a text."""
    line, counted = 1, 0
    for start, _, value in _spread(text):
        line, counted = line + text.count("\n", counted, start), start
        yield line, _clean(value)


def _is_whole(line: bytes) -> bool:
    try:
        parse(line)
    except BadJsonError:
        return False
    return True


def _documents(text: str) -> Iterator[tuple[int, object]]:
    line, counted = 1, 0
    for start, _, value in _spread(text):
        line, counted = line + text.count("\n", counted, start), start
        if isinstance(value, list):
            for key, place in _children(text, start).items():
                yield line + text.count("\n", start, place), _clean(value[int(key)])
        else:
            yield line, _clean(value)


def parts(data: bytes) -> list[tuple[int, bytes]]:
    """Cut a text of several JSON values into one text each, with the line that each begins on.

    What is between them, or is no JSON, is left out.
    """
    text = data.decode("utf-8", "replace")
    return [
        (text.count("\n", 0, start) + 1, text[start:end].encode())
        for start, end, value in _spread(text)
        if not isinstance(value, BadJsonError)
    ]


def _spread(text: str) -> Iterator[tuple[int, int, object]]:
    """Give the start, the end and the value, or the error, of each value; commas may part them."""
    place = _skip(text, 0)
    while place < len(text):
        try:
            value, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            found = _NEXT_VALUE.search(text, place + 1)
            end = len(text) if found is None else found.start()
            value = BadJsonError(f"not JSON: {error}", text.count("\n", 0, place) + 1)
        yield place, end, value
        place = _skip(text, end, _BETWEEN_VALUES)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadJsonError(f"not UTF-8: byte {data[error.start]:#04x}", line) from error


def _parse_leniently(text: str) -> object:
    try:
        return _clean(json.loads(text))
    except json.JSONDecodeError as error:
        raise BadJsonError(
            f"not JSON: {error.msg} at column {error.colno}", error.lineno
        ) from error
    except RecursionError as error:
        raise BadJsonError("not valid JSON: nested too deeply") from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise BadJsonError(f"not JSON: {error}") from error


def _clean(value: object) -> object:
    """Replace lone surrogates and integers of more than 64 bits, which no database stores."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return str(value)
    if isinstance(value, str):
        return (
            value
            if value.isascii()
            else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(one) for key, one in value.items()}
    return value


@dataclass(slots=True)
class Places:
    """Finds the line of a value in a document; the text is scanned when first asked."""

    data: bytes
    first_line: int = 1
    """where the document begins in its file"""
    _text: str | None = None
    _line_ends: list[int] = field(default_factory=list)
    _children: dict[int, dict[Key, int]] = field(default_factory=dict)
    """start of an array or object -> start of each value in it"""

    def line(self, *path: Key) -> int:
        """Return the line, from 1, on which the value at this path starts."""
        if self._text is None:
            self._text = self.data.decode("utf-8", "replace")
            self._line_ends = [found.start() for found in re.finditer("\n", self._text)]
        start = _skip(self._text, 0)
        for key in path:
            if start not in self._children:
                self._children[start] = _children(self._text, start)
            start = self._children[start].get(key, start)
        return bisect_left(self._line_ends, start) + self.first_line


def _children(text: str, start: int) -> dict[Key, int]:
    try:
        return dict(_values(text, start))
    except (ValueError, RecursionError):
        # orjson reads deeper nesting and longer integers than the scanner here; the line of the
        # array or object around them is then good enough
        return {}


def _values(text: str, start: int) -> Iterator[tuple[Key, int]]:
    """Return the key (or number) and the start of each value of the array or object at `start`."""
    if text[start] not in "[{":
        return
    is_object = text[start] == "{"
    number = 0
    place = _skip(text, start + 1)
    while text[place] not in "]}":
        key: Key = number
        if is_object:
            name, place = _DECODER.raw_decode(text, place)
            key = cast("str", name)
            place = _skip(text, _skip(text, place) + 1)
        yield key, place
        place = _skip(text, _DECODER.raw_decode(text, place)[1])
        number += 1
        if text[place] == ",":
            place = _skip(text, place + 1)


def _skip(text: str, place: int, blank: re.Pattern[str] = _BLANK) -> int:
    found = blank.match(text, place)
    assert found is not None
    return found.end()
