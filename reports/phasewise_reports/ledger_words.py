"""Titles and explanations of the ledger's reasons, and the colour of each in the bar.

Cached has its colour; missed and broken tokens are prefill; new ones have no colour, and those
whose cache is not reported are hatched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from phasewise_analyzer.diagnosis.causes import CATALOGUE
from phasewise_analyzer.ledger import facts

Tone = Literal["c", "p", "u", "new"]
"""c cached, p missed or broken, u cache not reported, new sent for the first time"""


@dataclass(frozen=True, slots=True)
class Words:
    """One reason."""

    title: str
    what: str
    """in a sentence, without its end"""
    tone: Tone


_PLAIN: Mapping[str, Words] = {
    facts.READ: Words("cached", "read from the provider's cache", "c"),
    facts.FIRST: Words(
        "first seen", "the start of an agent's first call: no earlier call had sent this", "new"
    ),
    facts.APPENDED: Words(
        "appended", "new at the end: what this call added to the previous one", "new"
    ),
    facts.PROVIDER: Words(
        "provider-side",
        "the rule predicts a read, but none happened: evicted, another machine, an incident, or an "
        "unrecorded part of the prompt changed",
        "p",
    ),
    facts.UNKNOWN: Words(
        "no rule known",
        "missed; the provider's cache rule of that day is not known",
        "p",
    ),
    facts.UNREPORTED: Words(
        "cache not reported",
        "sent before; the source does not report its cache, so the bill is what the provider's "
        "rule would charge",
        "u",
    ),
}

_RULES: Mapping[str, str] = {
    "nothing missed": "everything is read but the rest of a block",
    "lifetime": "it was cached, and has expired",
    "minimum": "it is shorter than the provider's minimum",
    "no marker": "no breakpoint was at or after it when it was sent",
    "lookback": "it is cached, but further back than the provider looks",
    "in flight": "the call that writes it had not started to respond",
    "granularity": "caches store whole blocks; the rest of a block is read again",
    "evicted": "it was evicted to make room",
    "settings": "a setting that is part of the cache's key differs",
}
_TITLES: Mapping[str, str] = {
    "minimum": "below the minimum",
    "granularity": "rest of a block",
    "lookback": "lookback exceeded",
    "no marker": "no breakpoint",
    "settings": "settings changed",
}
_CAUSES = {one.name: one for one in CATALOGUE}


def words(reason: str) -> Words:
    """Return the words of a reason as the ledger spells it; one that is new here names itself."""
    if reason in _PLAIN:
        return _PLAIN[reason]
    if reason.startswith(facts.BREAK):
        name = reason.removeprefix(facts.BREAK)
        cause = _CAUSES.get(name)
        return Words(f"break: {name}", cause.what if cause else "the prompts diverge here", "p")
    name = reason.removeprefix(facts.RULE)
    return Words(
        f"rule: {_TITLES.get(name, name)}",
        _RULES.get(name, "because of the provider's cache rule"),
        "p",
    )
