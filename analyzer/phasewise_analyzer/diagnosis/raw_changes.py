"""Compare prompts that are one text rendered by a template: turns are matched by their content."""

import re
from collections.abc import Sequence
from dataclasses import replace

from phasewise_store.trie import shared_length

from phasewise_analyzer.diagnosis import causes, forms
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.diagnosis.content_changes import of_texts
from phasewise_analyzer.diagnosis.finding import Finding, shown
from phasewise_analyzer.diagnosis.parts import Part
from phasewise_analyzer.diagnosis.spans import first_hunk, likeness

PROBE_CHARACTERS = 120
"""of the text behind the place that are looked for in the other prompt"""
LEAST_LIKE = 0.2
"""share of words in common below which one rest is no edit of the other"""
LEAST_SHARED = 8
"""characters, or segments and characters, with which two prompts of one agent begin"""
_LEAST_PROBE = 24
_SPACE = re.compile(r"\s+")


def of_raw(old: Sequence[Part], new: Sequence[Part]) -> Finding | None:
    """Compare what both have from the place on; None where the new one only goes on."""
    one, two = _joined(old), _joined(new)
    if two.startswith(one) or one.startswith(two):
        return None
    hunk = first_hunk(one, two)
    shows = Finding(causes.HISTORY_EDITED, shown(hunk.before), shown(hunk.after), "", hunk.start)
    for cause, form in (
        (causes.WHITESPACE, lambda text: _SPACE.sub("", text)),
        (causes.THINKING_STRIPPED, _without_reasoning),
        (causes.RE_RENDERED, forms.without_template),
    ):
        if form(two).startswith(form(one)):
            return Finding(cause, shows.before, shows.after, "", hunk.start)
    at = shared_length(one, two)
    moved = _of_rests(one[at:], two[at:])
    if moved is not None:
        return replace(shows, cause=moved)
    return of_texts(one, two) or replace(shows, cause=_of_unlike(one, two, at + old[0].at))


def _of_unlike(one: str, two: str, shared: int) -> Cause:
    """Judge texts that part by more than a value; `shared` is 0 where nothing came before."""
    at = shared_length(one, two)
    if likeness(one[at:], two[at:]) < LEAST_LIKE:
        return causes.REWOUND
    return causes.HISTORY_EDITED if shared >= LEAST_SHARED else causes.FORKED


def _of_rests(one: str, two: str) -> Cause | None:
    """See whether what follows on a shared beginning stands further back in the other."""
    if _stands_in(two, one):
        return causes.HISTORY_CUT
    return causes.INSERTED if _stands_in(one, two) else None


def _without_reasoning(text: str) -> str:
    return _SPACE.sub("", str(forms.without_reasoning(text)))


def _stands_in(text: str, other: str) -> bool:
    probe = text[:PROBE_CHARACTERS]
    return len(probe) >= _LEAST_PROBE and other.find(probe, 1) >= 0


def _joined(parts: Sequence[Part]) -> str:
    return b"".join(part.segment.content or b"" for part in parts).decode("utf-8", "replace")
