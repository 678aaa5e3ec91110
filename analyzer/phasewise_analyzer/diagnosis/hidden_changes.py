"""Diagnose prompts known only by hashes, by the shape of the change."""

from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.alignment import Alignment
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.diagnosis.history_changes import is_reordered


def of_hidden(aligned: Alignment) -> Cause:
    """Return whether parts moved, went, came, or were replaced."""
    if is_reordered(aligned):
        return causes.HIDDEN_REORDERED
    gone, come = aligned.first_gap
    if not come:
        return causes.HIDDEN_REMOVED
    return causes.HIDDEN_EDITED if gone else causes.HIDDEN_INSERTED
