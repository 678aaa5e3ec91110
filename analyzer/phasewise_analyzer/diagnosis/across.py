"""Compare calls of two conversations or two agents: what they should share, and do not.

Their histories are expected to differ. The text in front of them, and repeated text, is not.
"""

from collections.abc import Sequence
from dataclasses import replace

from phasewise_store.facts import Segment

from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.alignment import Alignment
from phasewise_analyzer.diagnosis.content_changes import compare, first_place
from phasewise_analyzer.diagnosis.diagnose import Diagnosis, Parting, cause_of, describe, part_at
from phasewise_analyzer.diagnosis.finding import Finding
from phasewise_analyzer.diagnosis.history_changes import is_copied
from phasewise_analyzer.diagnosis.parts import parts, text_of
from phasewise_analyzer.diagnosis.spans import first_hunk, likeness, middles

STATIC_CHARACTERS = 200
"""behind a difference that two messages must share to be made from one template"""
OWN_CHARACTERS = 400
"""that differ between two system prompts of one template: what is one user's or tenant's own"""
SHARED_SHARE = 0.5
"""of the old history's tokens that a fork has, too"""


def diagnose_across(old: Sequence[Segment], new: Sequence[Segment]) -> Diagnosis | None:
    """Compare the prompts of two conversations; None where they part where they may."""
    parting = part_at(*parts(old, new))
    if parting is None:
        return None
    aligned = parting.aligned()
    found = cause_of(parting, aligned)
    if parting.known and parting.tier == "system" and found is not None:
        found = _of_templates(parting, found)
    elif parting.tier == "messages":
        found = _of_histories(parting, aligned)
    return None if found is None else describe(parting, aligned, found)


def _of_templates(parting: Parting, found: Finding) -> Finding:
    """See in a small edit of the words what belongs to one user."""
    if found.cause is not causes.SYSTEM_EDITED:
        return found
    old, new = text_of(parting.before.value), text_of(parting.after.value)
    if not old or not new:
        return found
    hunk = first_hunk(old, new)
    own = max(len(hunk.before), len(hunk.after))
    rest = likeness(old[hunk.old_end :], new[hunk.new_end :])
    if own <= OWN_CHARACTERS and rest >= 0.5:
        return replace(found, cause=causes.TENANT)
    return found


def _of_histories(parting: Parting, aligned: Alignment) -> Finding | None:
    if not parting.known:
        return None
    before, after = parting.before, parting.after
    total = sum(part.segment.tokens for part in aligned.old)
    news = {part.key for part in aligned.new}
    again = [part for part in aligned.old if part.key in news]
    shared = sum(part.segment.tokens for part in again)
    if (len(again) >= 2 and shared >= SHARED_SHARE * total) or is_copied(aligned):
        return replace(first_place(before.value, after.value), cause=causes.FORKED)
    one, two = text_of(before.value), text_of(after.value)
    if before.segment.role != after.segment.role or one == two:
        return None
    left, right = middles(one, two)
    if min(len(one) - len(left), len(two) - len(right)) < STATIC_CHARACTERS:
        return None
    if likeness(one, two) < SHARED_SHARE:
        return None
    found = compare(before.value, after.value)
    return found or replace(first_place(before.value, after.value), cause=causes.TENANT)
