"""Read a YAML file key by key; an error names the file, the key and what is allowed there.

Follows YAML 1.2, in which `off` and `on` are strings, so an arm can have them as its name. Used for
plans and nightly files.
"""

import re
from collections.abc import Callable
from typing import TypeVar

import yaml
from phasewise_store.errors import UsageError

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """YAML 1.2's truth values: PyYAML's own reads `off`, `on`, `yes` and `no` as well."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def document(text: str, where: str) -> "Keys":
    """Read YAML whose top is a mapping; raises UsageError."""
    try:
        top = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except yaml.YAMLError as error:
        raise UsageError(f"`{where}` is not YAML: {error}") from None
    return Keys(top, where, "")


class Keys:
    """A mapping in the file: reads its keys by type and finally rejects those left over."""

    def __init__(self, value: object, where: str, path: str) -> None:
        self._where = where
        self._path = path
        if not isinstance(value, dict):
            raise self.wrong("", f"must be a mapping (`key: value` lines), not `{str(value)[:40]}`")
        self._values: dict[object, object] = dict(value)
        self._asked: list[str] = []

    def take(self, name: str, kind: Callable[[object], T], default: T | None = None) -> T:
        """Return a key as what `kind` makes of it; without a default it must be there."""
        self._asked.append(name)
        if name not in self._values:
            if default is None:
                raise self.wrong(name, "is missing")
            return default
        return self._made(name, kind)

    def maybe(self, name: str, kind: Callable[[object], T]) -> T | None:
        """Return a key as what `kind` makes of it, or None if it is absent or null."""
        self._asked.append(name)
        if self._values.get(name) is None:
            self._values.pop(name, None)
            return None
        return self._made(name, kind)

    def has(self, name: str) -> bool:
        """Return whether a key is there."""
        return name in self._values

    def names(self) -> tuple[str, ...]:
        """Return the keys that are left, for a mapping whose keys are the user's own."""
        return tuple(map(str, self._values))

    def inner(self, name: str) -> "Keys":
        """Return a mapping inside; empty where it is absent."""
        self._asked.append(name)
        return Keys(self._values.pop(name, {}), self._where, self._join(name))

    def items(self, name: str) -> list["Keys"]:
        """Return a list of mappings; it must not be empty."""
        self._asked.append(name)
        found = self._values.pop(name, None)
        if not isinstance(found, list) or not found:
            raise self.wrong(name, "must be a list with at least one entry")
        return [
            Keys(one, self._where, f"{self._join(name)}[{place}]")
            for place, one in enumerate(found)
        ]

    def finish(self) -> None:
        """Reject unknown keys."""
        for name in self._values:
            allowed = ", ".join(f"`{one}`" for one in self._asked)
            raise self.wrong(str(name), f"is not a known key; allowed here: {allowed}")

    def wrong(self, name: str, text: str) -> UsageError:
        """Make the error about a key."""
        path = self._join(name)
        return UsageError(f"{self._where}: {f'`{path}`' if path else 'the file'} {text}")

    def _made(self, name: str, kind: Callable[[object], T]) -> T:
        try:
            return kind(self._values.pop(name))
        except UsageError as error:
            raise self.wrong(name, str(error)) from None

    def _join(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path and name else self._path or name


def word(value: object) -> str:
    """Take a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise UsageError(f"must be a non-empty string, not `{value}`")
    return value


def words(value: object) -> tuple[str, ...]:
    """Take a list of strings."""
    if not isinstance(value, list):
        raise UsageError(f"must be a list, not `{value}`")
    return tuple(word(one) for one in value)


def whole(value: object) -> int:
    """Take a whole number above zero."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"must be a whole number above 0, not `{value}`")
    return value


def wholes(value: object) -> tuple[int, ...]:
    """Take a list of whole numbers above zero."""
    if not isinstance(value, list):
        raise UsageError(f"must be a list, not `{value}`")
    return tuple(whole(one) for one in value)


def pairs(value: object) -> tuple[tuple[int, int], ...]:
    """Take a list of pairs of whole numbers above zero."""
    if not isinstance(value, list) or any(not isinstance(one, list) for one in value):
        raise UsageError(f"must be a list of pairs such as `[8192, 512]`, not `{value}`")
    return tuple(map(_pair, value))


def _pair(value: object) -> tuple[int, int]:
    found = wholes(value)
    if len(found) != 2:
        raise UsageError(f"must be a list of pairs such as `[8192, 512]`, not `{value}`")
    return found[0], found[1]


def whole_or_none(value: object) -> int:
    """Take a whole number from zero up."""
    return 0 if value == 0 and not isinstance(value, bool) else whole(value)


def number(value: object) -> float:
    """Take a number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise UsageError(f"must be a number of at least 0, not `{value}`")
    return float(value)


def positive(value: object) -> float:
    """Take a number above zero."""
    if value == 0:
        raise UsageError("must be a number above 0, not `0`")
    return number(value)


def truth(value: object) -> bool:
    """Take true or false."""
    if not isinstance(value, bool):
        raise UsageError(f"must be true or false, not `{value}`")
    return value
