"""Classify a value that changed between two texts: a time, id, place, person or number."""

import re
from dataclasses import dataclass
from itertools import pairwise

from phasewise_analyzer.diagnosis import causes, labels, moments
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.diagnosis.spans import LINE_CHARACTERS, Hunk

MOST_WORDS = 12
"""in a stretch that can still be one value"""
MOST_CHARACTERS = 400
"""of one value: a long path, a token"""

_RUN = re.compile(r"[\w.+/=~@%\\:$-]")
_LETTERS = re.compile(r"[^\W\d_]+")
_UUID = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE
)
_PATH = re.compile(
    r"(?:\b[A-Za-z]:\\{1,2}|\\\\|~[\\/]|\.{1,2}[\\/]|(?<![\w+/=.])/)[\w.@~+-]+"
    r"(?:[\\/]{1,2}[\w.@~+ -]*[\w.@~+-])*[\\/]*"
    r"|[a-z][a-z0-9+.-]*://[^\s\"'<>]+"
    r"|(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![\d.])"
    r"|\b[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+|(?<=\.com)|(?<=\.net)|(?<=\.org)|(?<=\.io)|(?<=\.dev)"
    r"|(?<=\.local)|(?<=\.internal)|(?<=\.lan)|(?<=\.cloud))(?!\.?\w)"
    r"|\b(?=[\d-]*[a-z])[a-z0-9-]+:\d{2,5}(?![\d:])"
    r"|\b(?:feature|feat|fix|bugfix|hotfix|release|chore|refactor|users?)/[\w./-]+",
)
_NUMBER = re.compile(
    r"[-+~#$€£¥v]{0,2}\d[\d,._'\u00a0\u202f /]*\d?\s?"
    r"(?:%|[kKMGT]i?[bB]?\b|ms\b|s\b|min\b|h\b|€|USD\b|x\b)?"
    r"(?:\s?(?:st|nd|rd|th|\.)(?!\w))?"
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?<!\w)@\w{2,}")
_PREFIXED_ID = re.compile(
    r"(?:req|run|sess|session|trace|msg|call|toolu|chatcmpl|resp|conv|thread|nonce|fc|rs|tool|evt"
    r"|job|task|txn|usr|ctx|int|asst|file|batch)[-_][0-9A-Za-z_-]{4,}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Value:
    """One side of a difference, widened to all that is written together with it."""

    text: str
    """what differs"""
    run: str
    """the unbroken run of characters around it"""
    line: str
    start: int
    """of what differs, in the line"""
    end: int
    run_start: int


def kind_of(hunk: Hunk) -> Cause | None:
    """Return the cause that a change of one value is; None where words were changed.

    Forms that cannot be mistaken go first, then labels, then forms that could be several things.
    """
    one = _value(hunk.old, hunk.start, hunk.old_end)
    two = _value(hunk.new, hunk.start, hunk.new_end)
    if any(len(v.text) > MOST_CHARACTERS or len(v.text.split()) > MOST_WORDS for v in (one, two)):
        return None
    both = (one, two)
    left = _left(one)
    named, last = labels.label_words(left), labels.last_word(left)
    if all(map(_is_path, both)):
        return causes.ENVIRONMENT
    if not (named | last) & labels.IDENTITY and all(map(_is_moment, both)):
        return causes.CLOCK
    if all(_UUID.fullmatch(_core(value)) or _is_opaque(_core(value)) for value in both):
        return causes.UNIQUE_ID
    if all(map(_is_email, both)):
        return causes.TENANT
    return _by_label(one, two, named, last) or _by_form(one, two)


def is_id(before: object, after: object) -> bool:
    """Return whether two values look like ids by themselves."""
    return all(
        isinstance(value, str) and len(value) <= 200 and _is_id(value) for value in (before, after)
    )


def is_number(text: str) -> bool:
    """Return whether a text is one number, with or without a unit."""
    return _NUMBER.fullmatch(text.strip()) is not None


def _by_label(
    one: _Value, two: _Value, named: frozenset[str], last: frozenset[str]
) -> Cause | None:
    for words, strong in ((last & named, True), (named, True), (last, False)):
        single = all(map(_is_single, (one, two)))
        made = strong or (single and any(map(_looks_made, (one, two))))
        if words & labels.IDENTITY and made and single:
            return causes.UNIQUE_ID
        if words & labels.CLOCK and all(any(map(str.isdigit, v.text)) for v in (one, two)):
            return causes.CLOCK
        if words & labels.ENVIRONMENT and made:
            return causes.ENVIRONMENT
        if strong and words & labels.PERSON and not all(is_number(v.text) for v in (one, two)):
            return causes.TENANT
    return None


def _by_form(one: _Value, two: _Value) -> Cause | None:
    if all(is_number(_trimmed(value.text)) for value in (one, two)):
        digits = min(len(re.sub(r"\D", "", value.text)) for value in (one, two))
        # nobody counts that far: a snowflake or another id of digits
        return causes.UNIQUE_ID if digits >= 14 else causes.COUNTER
    if all(_is_id(_core(value)) for value in (one, two)):
        return causes.UNIQUE_ID
    return causes.COUNTER if _are_counts(one.text, two.text) else None


def _value(text: str, start: int, end: int) -> _Value:
    line_start = max(text.rfind("\n", 0, start) + 1, start - LINE_CHARACTERS)
    line_end = text.find("\n", end)
    line_end = min(len(text) if line_end < 0 else line_end, end + LINE_CHARACTERS)
    line = text[line_start:line_end]
    low, high = start - line_start, end - line_start
    first, last = low, high
    while first > 0 and _RUN.match(line[first - 1]):
        first -= 1
    while last < len(line) and _RUN.match(line[last]):
        last += 1
    return _Value(text[start:end], line[first:last], line, low, high, first)


def _core_start(value: _Value) -> int:
    """Return where in its run the value starts, behind a label that is written together with it."""
    head = value.run[: value.start - value.run_start]
    return max(head.rfind(":"), head.rfind("=")) + 1


def _core(value: _Value) -> str:
    return value.run[_core_start(value) :].rstrip(".:,")


def _left(value: _Value) -> str:
    return value.line[: value.run_start + _core_start(value)]


def _trimmed(text: str) -> str:
    return text.strip().strip("\"'`()[]{}<>*,;:.")


def _is_path(value: _Value) -> bool:
    return any(
        found.start() <= value.start and value.end <= found.end() and value.end > value.start
        for found in _PATH.finditer(value.line)
        if _names_place(found[0])
    )


def _names_place(path: str) -> bool:
    """Return whether it is a path rather than a slash between words or a piece of base64."""
    if path[0] == "/" and not path.startswith("//"):
        return path.count("/") >= 2 and "//" not in path and "+" not in path
    return True


def _is_moment(value: _Value) -> bool:
    return moments.covers(value.line, value.start, value.end)


def _is_email(value: _Value) -> bool:
    return any(
        found.start() <= value.start and value.end <= found.end()
        for found in _EMAIL.finditer(value.line)
    )


def _is_single(value: _Value) -> bool:
    core = _trimmed(value.text)
    return bool(core) and not any(map(str.isspace, core))


def _looks_made(value: _Value) -> bool:
    """Return whether a value is no plain word: it has a digit or a sign inside."""
    return any(not letter.isalpha() for letter in _core(value))


def _is_opaque(text: str) -> bool:
    """Return whether a string looks random: long, with letters and digits mixed."""
    plain = re.sub(r"[-_+/=.~]", "", text)
    if len(plain) < 16 or not plain.isascii() or not plain.isalnum():
        return False
    digits = sum(map(str.isdigit, plain))
    return digits >= 2 and len(plain) - digits >= 2 and not _is_phrase(text)


def _is_id(text: str) -> bool:
    text = _trimmed(text)
    if _UUID.fullmatch(text) or _PREFIXED_ID.fullmatch(text) or _is_opaque(text):
        return True
    plain = re.sub(r"[-_+/=.~]", "", text)
    if len(plain) < 6 or not plain.isascii() or not plain.isalnum() or _is_phrase(text):
        return False
    mixed_case = plain != plain.lower() and plain[1:] != plain[1:].lower()
    if not plain.isupper() and mixed_case and len(plain) >= 10 and _turns(plain) >= 4:
        return True
    return any(map(str.isdigit, plain)) and _turns(plain) >= 2


def _turns(text: str) -> int:
    """Count how often letters and digits, and small and large letters, change."""
    kinds = [(one.isdigit(), one.isupper()) for one in text]
    return sum(left != right for left, right in pairwise(kinds))


def _is_phrase(text: str) -> bool:
    """Return whether it is words that are joined: each piece has letters only, or digits only."""
    pieces = [piece for piece in re.split(r"[-_+/=.~]", text) if piece]
    plain = [
        piece.isdigit() or (piece.isalpha() and piece[1:] == piece[1:].lower()) for piece in pieces
    ]
    return len(pieces) > 1 and all(plain) and max(map(len, pieces)) < 12


def _are_counts(one: str, two: str) -> bool:
    """Return whether the same few words stand around numbers that differ: `3 of 10`."""
    words = _LETTERS.findall(one)
    return (
        words == _LETTERS.findall(two)
        and len(words) <= 3
        and all(any(map(str.isdigit, text)) for text in (one, two))
    )
