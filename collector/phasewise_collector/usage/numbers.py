"""Read counts from mappings with any content: other values give None, nothing raises."""

import math
from collections.abc import Iterator, Mapping, Sequence

Fields = Mapping[str, object]

MOST = 1 << 53
"""more is no count"""


def count(fields: Fields, *paths: str) -> int | None:
    """Return the first count that stands at one of these paths (`a.b` is the field `b` of `a`)."""
    for path in paths:
        found = as_count(at(fields, path))
        if found is not None:
            return found
    return None


def at(fields: Fields, path: str) -> object:
    """Return what stands at a path, None where nothing does."""
    here: object = fields
    for name in path.split("."):
        if not isinstance(here, Mapping):
            return None
        here = here.get(name)
    return here


def inner(fields: Fields, *paths: str) -> Fields | None:
    """Return the first mapping that stands at one of these paths."""
    for path in paths:
        found = at(fields, path)
        if isinstance(found, Mapping):
            return found
    return None


def word(fields: Fields, *paths: str) -> str | None:
    """Return the first text that stands at one of these paths."""
    found = (at(fields, path) for path in paths)
    return next((one for one in found if isinstance(one, str) and one), None)


def rows(fields: Fields, *paths: str) -> Iterator[Fields]:
    """Return the mappings in the lists at these paths."""
    for path in paths:
        found = at(fields, path)
        if isinstance(found, Sequence) and not isinstance(found, str | bytes):
            yield from (one for one in found if isinstance(one, Mapping))


def as_count(value: object) -> int | None:
    """Read a number, or a text that is one; what is negative, or beyond all bounds, is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return int(found) if math.isfinite(found) and 0 <= found <= MOST else None
