"""Lists of messages that grow from call to call: only new messages are parsed and stored.

An agent sends its whole history with every call. If a JSON text starts like an earlier one up to
the end of some message, the parsed form of these messages is reused, and parsing continues after
them.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from json import JSONDecodeError, JSONDecoder
from typing import NamedTuple

import orjson

from phasewise_collector.dialects import written
from phasewise_collector.dialects.chat_values import Message
from phasewise_collector.dialects.written import Written

LEAST_CHARACTERS = 2_000
"""shorter texts are read at once"""
MOST_CHARACTERS = 8 << 20
"""of all texts that are remembered"""
MOST_ALIKE = 8
"""texts with the same head that are remembered: as many sessions of one agent side by side"""
_HEAD_CHARACTERS = 200
_SPACE = re.compile(r"[ \t\n\r]*")


HERE = "the list that was read stands here"


class Read(NamedTuple):
    """What a text holds."""

    document: object
    """the JSON, with HERE in the place of the list"""
    messages: tuple[Written, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Text:
    """One text, and what was made of each entry of its list."""

    text: str
    opening: int
    """place of the list's bracket"""
    ends: list[int] = field(default_factory=list)
    """place behind each entry"""
    made: list[tuple[Written, ...]] = field(default_factory=list)

    def shared(self, text: str) -> int:
        """Count the entries that another text begins with, too."""

        def is_beyond(place: int) -> bool:
            return not text.startswith(self.text[: self.ends[place]])

        return bisect_left(range(len(self.ends)), True, key=is_beyond)


class Histories:
    """Reads texts that hold a list of messages, by itself or in an object under one of `keys`.

    `convert` gives the messages that one entry of the list stands for.
    """

    def __init__(self, convert: Callable[[object], Iterable[Message]], *keys: str) -> None:
        self._convert = convert
        self._opens = re.compile(rf'"(?:{"|".join(keys)})"\s*:\s*\[') if keys else None
        self._known: dict[str, list[_Text]] = {}
        self._characters = 0
        self._last: tuple[object, Read | None] = None, None

    def read(self, value: object) -> Read | None:
        """Read a text; None where it is short, or has no such list: then it is read plainly."""
        if not isinstance(value, str) or len(value) < LEAST_CHARACTERS:
            return None
        if value is not self._last[0]:
            self._last = value, self._read(value)
        return self._last[1]

    def _read(self, value: str) -> Read | None:
        alike = self._known.get(value[:_HEAD_CHARACTERS], [])
        shares = [known.shared(value) for known in alike]
        most = max(shares, default=0)
        before = alike[shares.index(most)] if most else None
        opening = before.opening if before is not None else self._opening(value)
        if opening is None:
            return None
        now = _Text(value, opening)
        if before is not None:
            now.ends.extend(before.ends[:most])
            now.made.extend(before.made[:most])
        try:
            closing = self._go_on(now)
            document = orjson.loads(f'{value[:opening]}"{HERE}"{value[closing + 1 :]}')
        except (ValueError, RecursionError):
            return None
        self._remember(now, before if before is not None and most == len(before.ends) else None)
        return Read(document, tuple(one for made in now.made for one in made))

    def _opening(self, text: str) -> int | None:
        """Give the place of the list's bracket; None where it is no field of the object itself."""
        if text[0] == "[":
            return 0
        found = self._opens.search(text) if self._opens is not None and text[0] == "{" else None
        if found is None:
            return None
        opening = found.end() - 1
        try:
            orjson.loads(text[:opening] + "0}")
        except ValueError:
            return None
        return opening

    def _go_on(self, now: _Text) -> int:
        """Read the entries that are not read yet; give the place of the closing bracket.

        Raises ValueError where the text is no JSON.
        """
        text = now.text
        here = _skipped(text, now.ends[-1] if now.ends else now.opening + 1)
        if not now.ends and text[here : here + 1] == "]":
            return here
        while True:
            if now.ends:
                if text[here : here + 1] == "]":
                    return here
                if text[here : here + 1] != ",":
                    raise JSONDecodeError("no comma", text, here)
                here = _skipped(text, here + 1)
            _, end = _DECODER.raw_decode(text, here)
            entry = orjson.loads(text[here:end])
            now.made.append(tuple(map(written.message, self._convert(entry))))
            now.ends.append(end)
            here = _skipped(text, end)

    def _remember(self, now: _Text, instead: _Text | None) -> None:
        """Keep a text, in the place of the one that it goes on from."""
        if self._characters > MOST_CHARACTERS:
            self._known.clear()
            self._characters = 0
            instead = None
        alike = self._known.setdefault(now.text[:_HEAD_CHARACTERS], [])
        if instead is not None:
            alike.remove(instead)
        elif len(alike) == MOST_ALIKE:
            instead = alike.pop(0)
        alike.append(now)
        self._characters += len(now.text) - (0 if instead is None else len(instead.text))


_DECODER = JSONDecoder()


def _skipped(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return place if found is None else found.end()
