"""Read YAML so that every mistake is named with its file and line; `book` reads records with it.

PyYAML's loader forgets lines, so values are taken from the composed nodes, which know theirs.
"""

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import yaml
from phasewise_store.errors import UsageError

T = TypeVar("T")


class Value:
    """A place in the file: what stands there and in which line."""

    def __init__(self, node: yaml.Node, where: str) -> None:
        self._node = node
        self._where = where

    def wrong(self, text: str) -> UsageError:
        """Make the error about this place."""
        return UsageError(f"{self._where}:{self._node.start_mark.line + 1}: {text}")

    def word(self) -> str:
        """Take a string that is not empty."""
        if not isinstance(self._node, yaml.ScalarNode) or not self._node.value or self.empty():
            raise self.wrong("must be a non-empty string")
        return str(self._node.value).strip()

    def empty(self) -> bool:
        """Return whether nothing stands here, or `null`."""
        return isinstance(self._node, yaml.ScalarNode) and self._node.tag.endswith(":null")

    def one_of(self, allowed: tuple[str, ...]) -> str:
        """Take one of these words."""
        found = self.word()
        if found not in allowed:
            raise self.wrong(f"`{found}` is not one of {', '.join(allowed)}")
        return found

    def truth(self) -> bool:
        """Take true or false."""
        return self.one_of(("true", "false")) == "true"

    def number(self) -> Decimal:
        """Take a number from 0 up."""
        text = self.word()
        try:
            found = Decimal(text)
        except InvalidOperation:
            raise self.wrong(f"must be a number, not `{text}`") from None
        if not found.is_finite() or found < 0:
            raise self.wrong(f"must be a number of at least 0, not `{text}`")
        return found

    def whole(self) -> int:
        """Take a whole number from 0 up."""
        found = self.number()
        if found != int(found):
            raise self.wrong(f"must be a whole number, not `{found}`")
        return int(found)

    def above_zero(self) -> int:
        """Take a whole number from 1 up."""
        found = self.whole()
        if found == 0:
            raise self.wrong("must be a whole number of at least 1, not `0`")
        return found

    def day(self) -> date:
        """Take a date."""
        text = self.word()
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise self.wrong(f"`{text}` is not a date such as 2026-11-23") from None

    def items(self) -> "list[Value]":
        """Take a list."""
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.wrong("must be a list: `[one, two]`, or lines that start with `-`")
        return [Value(one, self._where) for one in self._node.value]

    def words(self) -> tuple[str, ...]:
        """Take a list of words."""
        return tuple(one.word() for one in self.items())

    def fields(self) -> "Fields":
        """Take a mapping."""
        if not isinstance(self._node, yaml.MappingNode):
            raise self.wrong("must be a mapping: `key: value` lines")
        return Fields(self._node, self._where)


class Fields:
    """A mapping of the file; hands out its keys and at the end refuses what is left."""

    def __init__(self, node: yaml.MappingNode, where: str) -> None:
        self._place = Value(node, where)
        self._values: dict[str, tuple[Value, Value]] = {}
        self._asked: list[str] = []
        written: set[str] = set()
        for key, _ in node.value:
            if key.value in written:
                raise Value(key, where).wrong(f"duplicate key `{key.value}`")
            written.add(str(key.value))
        _MERGER.flatten_mapping(node)  # puts what `<<` brings in front of the mapping's own keys
        for key, value in node.value:
            self._values[Value(key, where).word()] = (Value(key, where), Value(value, where))

    def wrong(self, text: str) -> UsageError:
        """Make the error about the mapping as a whole."""
        return self._place.wrong(text)

    def take(self, name: str) -> Value:
        """Return a key that must be there."""
        found = self.maybe(name)
        if found is None:
            raise self.wrong(f"`{name}` is missing")
        return found

    def maybe(self, name: str) -> Value | None:
        """Return a key, None where it is absent or null."""
        self._asked.append(name)
        found = self._values.pop(name, None)
        return None if found is None or found[1].empty() else found[1]

    def read(self, name: str, kind: Callable[[Value], T], default: T) -> T:
        """Return a key as what `kind` makes of it, the default where it is absent."""
        found = self.maybe(name)
        return default if found is None else kind(found)

    def rest(self) -> Iterator[tuple[str, Value]]:
        """Return all keys that are left, where any name may stand."""
        while self._values:
            name = next(iter(self._values))
            yield name, self._values.pop(name)[1]

    def finish(self) -> None:
        """Refuse keys that nobody asked for."""
        for name, (key, _) in self._values.items():
            allowed = ", ".join(sorted(self._asked))
            raise key.wrong(f"`{name}` is not a known key here; the keys are {allowed}")


def document(text: str, where: str) -> Value:
    """Read one YAML document; raises UsageError."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise UsageError(f"{where}:{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{where}:1: not YAML: {error}") from None
    if node is None:
        raise UsageError(f"{where}:1: the file is empty; write `records:` and a list of records")
    return Value(node, where)


_MERGER = yaml.SafeLoader("")
"""knows how `<<` is read"""
