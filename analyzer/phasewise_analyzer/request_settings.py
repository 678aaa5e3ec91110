"""The settings of a request by name, however its API spells and nests them.

A value that equals the default counts as absent: `tool_choice: auto` and no `tool_choice` are the
same request.
"""

import json
import re
from collections.abc import Iterator, Mapping

_HOLDERS = frozenset(
    {
        *("extrabody", "generationconfig", "config", "outputconfig", "text", "modelkwargs"),
        *("extraheaders", "headers", "additionalmodelrequestfields", "chattemplatekwargs"),
        *("additionalkwargs", "inferenceconfig", "output"),
    }
)
"""objects inside a request that hold settings, not texts"""
_SAYS_NOTHING: tuple[object, ...] = (
    *(None, "", [], {}, "auto", "default", "standard", "text"),
    *({"type": "auto"}, {"type": "text"}, {"type": "disabled"}, {"mode": "AUTO"}),
    {"functionCallingConfig": {"mode": "AUTO"}},
)
"""values that say what is meant where nothing is said"""
_AS_IF_OMITTED = frozenset(json.dumps(value, sort_keys=True) for value in _SAYS_NOTHING)
_OMITTED_IF: Mapping[str, bool] = {
    "paralleltoolcalls": True,
    "disableparalleltooluse": False,
    "fast": False,
    "fastmode": False,
}
_SIGN = re.compile(r"[-_.\s]")
_FEATURES = frozenset({"betas", "anthropicbeta", "openaibeta", "beta"})
"""lists whose order has no meaning"""
_NEVER = object()


def stated(request: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Give each setting that says something: its name without case, `_`, `-` and `.`; its JSON."""
    for name, value in _named(request, 0):
        if value == _OMITTED_IF.get(name, _NEVER):
            continue
        written = _written(name, value)
        if written not in _AS_IF_OMITTED:
            yield name, written


def _named(request: Mapping[str, object], level: int) -> Iterator[tuple[str, object]]:
    for key, value in request.items():
        name = _SIGN.sub("", key.rpartition(".")[2] if level == 0 else key).lower()
        if name in _HOLDERS and isinstance(value, Mapping) and level < 3:
            yield from _named(value, level + 1)
        else:
            yield name, value


def _written(name: str, value: object) -> str:
    """Write a value such that equal ones are equal."""
    if name in _FEATURES and isinstance(value, str):
        value = [one.strip() for one in value.split(",") if one.strip()]
    if name in _FEATURES and isinstance(value, list):
        value = sorted(map(str, value))
    return json.dumps(value, sort_keys=True, default=str)
