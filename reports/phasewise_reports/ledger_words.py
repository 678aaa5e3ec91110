"""Titles and explanations of the ledger's reasons, and the colour of each in the bar.

Read is cached; re-paid is prefill; what had to be sent has no colour, and what nobody can say is
grey.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from phasewise_analyzer.diagnosis.causes import CATALOGUE
from phasewise_analyzer.ledger import facts

Tone = Literal["c", "p", "new", "o"]
"""c read from a cache, p re-paid, new sent for the first time, o not known"""


@dataclass(frozen=True, slots=True)
class Words:
    """One reason."""

    title: str
    what: str
    """in a sentence, without its end"""
    tone: Tone


_PLAIN: Mapping[str, Words] = {
    facts.READ: Words(
        "read from the cache", "sent before, and served by the provider's cache", "c"
    ),
    facts.FIRST: Words(
        "first seen", "the start of an agent's first call: nothing before it had sent this", "new"
    ),
    facts.APPENDED: Words(
        "appended", "new at the end: what this call added to the one before", "new"
    ),
    facts.PROVIDER: Words(
        "provider-side",
        "the rule promises a read, and none came: evicted, another machine, an incident, or a part "
        "of the prompt that is not recorded changed",
        "p",
    ),
    facts.UNKNOWN: Words(
        "no rule known",
        "sent before and not read; no record says how this provider cached on that day",
        "o",
    ),
    facts.UNREPORTED: Words(
        "cache not reported",
        "sent before; the source does not say whether it was read, so it is charged as if it was "
        "not",
        "o",
    ),
}

_RULES: Mapping[str, str] = {
    "nothing missed": "the rule lets all be read but the rest of a block",
    "lifetime": "it had been kept, and was dropped after the time it lives",
    "minimum": "the provider caches no prefix this short",
    "no marker": "no breakpoint stood at or behind it when it was sent",
    "lookback": "it is kept, further back than the provider looks",
    "in flight": "the call that writes it had not begun to answer",
    "granularity": "caches keep whole blocks; the rest of one is read again",
    "evicted": "it made room for others",
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
    """Give the words of a reason as the ledger spells it; one that is new here names itself."""
    if reason in _PLAIN:
        return _PLAIN[reason]
    if reason.startswith(facts.BREAK):
        name = reason.removeprefix(facts.BREAK)
        cause = _CAUSES.get(name)
        return Words(f"break: {name}", cause.what if cause else "the prompt parted here", "p")
    name = reason.removeprefix(facts.RULE)
    return Words(f"rule: {_TITLES.get(name, name)}", _RULES.get(name, "what the rule says"), "p")
