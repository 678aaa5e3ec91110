"""The result of comparing one place: the cause, and the texts that differ there."""

from dataclasses import dataclass

from phasewise_analyzer.diagnosis.causes import Cause

SHOWN_CHARACTERS = 80
"""of each text that is shown on either side"""


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause with its texts."""

    cause: Cause
    before: str = ""
    after: str = ""
    path: str = ""
    """where in the segment's JSON, as in `content[0].text`"""
    kept_characters: int = 0
    """of that text, how many before the difference are the same"""


def shown(text: str) -> str:
    """Cut a text to what is shown, on one line."""
    return " ".join(text[: 4 * SHOWN_CHARACTERS].split())[:SHOWN_CHARACTERS]
