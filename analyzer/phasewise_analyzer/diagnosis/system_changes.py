"""Find what happened to the system prompt: a value changed, its form, or its words."""

from dataclasses import replace

from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.alignment import Alignment
from phasewise_analyzer.diagnosis.content_changes import compare, first_place
from phasewise_analyzer.diagnosis.finding import Finding, shown
from phasewise_analyzer.diagnosis.history_changes import is_copied, is_reordered
from phasewise_analyzer.diagnosis.parts import Part, text_of
from phasewise_analyzer.diagnosis.retrieved import are_documents


def of_system(aligned: Alignment) -> Finding:
    """Judge two prompts that part in the system prompt."""
    before, after = aligned.old[0], aligned.new[0]
    if is_reordered(aligned):
        return Finding(causes.REORDERED, _shown(before), _shown(after))
    gone, come = aligned.first_gap
    if gone and come:
        found = compare(before.value, after.value)
        if found is not None and (
            _both_system(before, after) or found.cause is causes.ROLE_CHANGED
        ):
            return found
    if is_copied(aligned):
        return Finding(causes.FORKED, _shown(before), _shown(after))
    if gone and come and _both_system(before, after):
        return replace(first_place(before.value, after.value), cause=causes.SYSTEM_EDITED)
    if come and not gone and are_documents("", text_of(after.value)):
        return Finding(causes.RETRIEVED, "", _shown(after))
    return Finding(
        causes.SYSTEM_EDITED, _shown(before) if gone else "", _shown(after) if come else ""
    )


def _both_system(before: Part, after: Part) -> bool:
    return before.segment.kind == after.segment.kind == "system"


def _shown(part: Part) -> str:
    return shown(text_of(part.value))
