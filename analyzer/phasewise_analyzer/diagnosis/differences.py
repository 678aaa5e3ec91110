"""List the differences of two JSON values in the order of the text, each with its context."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from phasewise_analyzer.diagnosis.parts import dumped

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands where the other value has something and this one nothing."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place."""

    path: Path
    before: object
    """what stood there; ABSENT where nothing did"""
    after: object
    around: tuple[Mapping[str, object], ...]
    """the objects that hold it, the outermost first; where they differ, those before"""


def differences(one: object, two: object) -> Iterator[Difference]:
    """Compare two values; nothing where they are equal."""
    yield from _walk(one, two, (), ())


def written(path: Path) -> str:
    """Write a path as in `content[0].text`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def _walk(
    one: object, two: object, path: Path, around: tuple[Mapping[str, object], ...]
) -> Iterator[Difference]:
    if isinstance(one, dict) and isinstance(two, dict):
        yield from _walk_objects(one, two, path, around)
    elif isinstance(one, list) and isinstance(two, list):
        yield from _walk_lists(one, two, path, around)
    elif type(one) is not type(two) or one != two:
        yield Difference(path, one, two, around)


def _walk_objects(
    one: dict[str, object],
    two: dict[str, object],
    path: Path,
    around: tuple[Mapping[str, object], ...],
) -> Iterator[Difference]:
    inside = (*around, one)
    for key, value in one.items():
        yield from _walk(value, two.get(key, ABSENT), (*path, key), inside)
    for key, value in two.items():
        if key not in one:
            yield Difference((*path, key), ABSENT, value, inside)


def _walk_lists(
    one: list[object],
    two: list[object],
    path: Path,
    around: tuple[Mapping[str, object], ...],
) -> Iterator[Difference]:
    """Pair what is left when equal entries at both ends are set aside."""
    olds, news = [dumped(entry) for entry in one], [dumped(entry) for entry in two]
    start = 0
    while start < min(len(olds), len(news)) and olds[start] == news[start]:
        start += 1
    tail = 0
    while tail < min(len(olds), len(news)) - start and olds[-1 - tail] == news[-1 - tail]:
        tail += 1
    for place in range(start, max(len(olds), len(news)) - tail):
        before = one[place] if place < len(olds) - tail else ABSENT
        after = two[place] if place < len(news) - tail else ABSENT
        yield from _walk(before, after, (*path, place), around)
