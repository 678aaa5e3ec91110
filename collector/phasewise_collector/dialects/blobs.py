"""Copy facts out of JSON attributes into attributes of their own.

An alias `NAME#a.b` means the field `a.b` of the object in the attribute NAME. It is read before the
text is moved out of the span, which would remove the facts in its JSON as well.
"""

from collections.abc import Iterator, Mapping

import orjson

from phasewise_collector.dialects import aliases, usage_aliases
from phasewise_collector.otlp.spans import Value

_SEPARATOR = "#"
_MOST_CHARACTERS = 4_000_000


def _paths() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for spellings in (*vars(aliases).values(), *vars(usage_aliases).values()):
        if isinstance(spellings, tuple):
            for one in spellings:
                if isinstance(one, str) and _SEPARATOR in one:
                    found.setdefault(one.partition(_SEPARATOR)[0], []).append(one)
    return found


PATHS = _paths()
"""attribute -> the aliases that look into it"""

_WHOLE = frozenset((*usage_aliases.PROVIDERS_OWN, *usage_aliases.WHOLE_USAGE))
"""aliases of which the object itself is the fact"""


def facts(attributes: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    """Return the facts inside the attributes that are there."""
    for name, wanted in PATHS.items():
        value = attributes.get(name)
        if value is None:
            continue
        document = object_in(value)
        for alias in wanted:
            found = _at(document, alias.partition(_SEPARATOR)[2])
            if isinstance(found, str | int | float):
                yield alias, found
            elif isinstance(found, Mapping) and alias in _WHOLE:
                yield alias, orjson.dumps(found).decode()


def object_in(value: object) -> Mapping[str, object]:
    """Return the JSON object that an attribute holds; an empty one where it holds none."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, str) or len(value) > _MOST_CHARACTERS:
        return {}
    if not value.startswith("{"):
        return {}
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _at(document: Mapping[str, object], path: str) -> object:
    """Follow a path; a key may itself contain dots, as Langfuse's do."""
    if path in document:
        return document[path]
    head, _, rest = path.partition(".")
    inner = document.get(head)
    return _at(inner, rest) if rest and isinstance(inner, Mapping) else None
