"""What may stand behind the `?` of each page's address; `app` checks it before a page is made."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from phasewise_analyzer.diagnosis.causes import CATALOGUE
from phasewise_analyzer.diagnosis.parts import Tier
from phasewise_analyzer.engine.shapes import model_config
from phasewise_analyzer.flame.facts import Measure
from phasewise_analyzer.groups import By
from phasewise_store.errors import UsageError

from phasewise_web.pages.address import SCOPE
from phasewise_web.pages.views import View

LARGEST = 10**12
"""no offset and no number of a row comes near it; DuckDB's offsets are 64 bits wide"""
LONGEST_TEXT = 4096


class AddressError(UsageError):
    """A query parameter is unknown, repeated, or has a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One name that a page's query may have."""

    name: str
    allowed: str
    """which values, in words that follow `must be`"""
    accepts: Callable[[str], object]


def number(name: str) -> Parameter:
    """Make a parameter that is a whole number."""

    def accepts(value: str) -> bool:
        return value.isascii() and value.isdecimal() and len(value) < 20 and int(value) <= LARGEST

    return Parameter(name, f"a whole number from 0 to {LARGEST:,}", accepts)


def choice(name: str, values: Iterable[str]) -> Parameter:
    """Make a parameter that is one of a few words."""
    words = tuple(values)
    return Parameter(name, "one of " + ", ".join(f"`{word}`" for word in words), words.__contains__)


def text(name: str) -> Parameter:
    """Make a parameter that names something of the store."""
    return Parameter(
        name,
        f"a name of at most {LONGEST_TEXT:,} characters",
        lambda value: len(value) <= LONGEST_TEXT,
    )


_SCOPE = tuple(text(name) for name in SCOPE)
"""every page takes these, so that the way from page to page keeps them"""
_VIEW = choice("view", get_args(View))
_OFFSET = number("offset")
_ALL = choice("all", ("1",))
_NODE = Parameter(
    "node",
    "a frame's address: two numbers with a dot between them",
    re.compile(r"\d{1,18}\.\d{1,18}", re.ASCII).fullmatch,
)

TAKES: Mapping[str, tuple[Parameter, ...]] = {
    "/": (*_SCOPE, _VIEW),
    "/sessions": (*_SCOPE, _VIEW, _OFFSET),
    "/sessions/{id:any}": (*_SCOPE, _VIEW, _OFFSET, _ALL),
    "/calls/{id:any}": (*_SCOPE, _ALL),
    "/prefixes": (
        *(*_SCOPE, choice("by", get_args(By)), choice("kv_model", model_config.names())),
    ),
    "/prefixes/flame": (*_SCOPE, choice("width", get_args(Measure)), _NODE),
    "/breaks": (
        *(*_SCOPE, _OFFSET, number("finding"), choice("tier", get_args(Tier))),
        choice("cause", (one.name for one in CATALOGUE)),
    ),
    "/ledger": (*_SCOPE, _OFFSET, text("reason")),
    "/structure": _SCOPE,
    "/runs": _SCOPE,
    "/runs/{id:any}": _SCOPE,
    "/runs/{id:any}/report.html": _SCOPE,
    "/nights/{id:any}": _SCOPE,
    "/collector": _SCOPE,
    "/patterns": _SCOPE,
}
"""by the path of the page's route"""


def check(pairs: Iterable[tuple[str, str]], takes: Iterable[Parameter]) -> None:
    """Raise AddressError for the first pair that the page does not take; say what it takes."""
    known = {one.name: one for one in takes}
    seen: set[str] = set()
    for name, value in pairs:
        if name not in known:
            names = ", ".join(f"`{one}`" for one in sorted(known))
            raise AddressError(f"This page has no parameter `{name}`; it takes {names}.")
        if name in seen:
            raise AddressError(f"The parameter `{name}` is given twice; give it once.")
        if not known[name].accepts(value):
            raise AddressError(
                f"The parameter `{name}` is `{value[:100]}`; it must be {known[name].allowed}."
            )
        seen.add(name)
