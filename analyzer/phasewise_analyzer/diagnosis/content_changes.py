"""Compare the old and the new content at one place: first its form, then its words."""

import re
from collections.abc import Mapping
from dataclasses import replace

from phasewise_analyzer.diagnosis import causes, forms, grammar
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.diagnosis.differences import (
    ABSENT,
    Difference,
    Path,
    differences,
    written,
)
from phasewise_analyzer.diagnosis.finding import Finding, shown
from phasewise_analyzer.diagnosis.parts import dumped, text_of
from phasewise_analyzer.diagnosis.retrieved import are_documents
from phasewise_analyzer.diagnosis.serialisation import rewritten
from phasewise_analyzer.diagnosis.spans import first_hunk, likeness, whole_values

_ID_KEY = re.compile(r"(?:^|_)(?:id|uuid)$|[a-z]Id$|^(?:nonce|signature|thoughtSignature)$")
_IMAGE_TYPES = frozenset({"image", "image_url", "input_image", "image_file"})
_IMAGE_KEYS = frozenset({"inlineData", "inline_data", "fileData", "file_data", "image"})
_RESULT_TYPES = frozenset(
    {"tool_result", "function_call_output", "custom_tool_call_output", "tool_search_output"}
)
_RESULT_KEYS = frozenset({"functionResponse", "function_response", "toolResult"})
_ARGUMENT_KEYS = frozenset({"input", "arguments", "args"})
_STUB = re.compile(
    r"clear|omit|remov|elid|truncat|prun|redact|drop|trimm|no longer|expired|hidden|shorten|collaps"
    r"|discard|stripped|\.\.\.|…|entfernt|gekürzt|gelöscht|eliminad|supprim|已清除|省略|削除",
    re.IGNORECASE,
)
CLEARED_SHARE = 0.6
"""of an old tool result's length, below which its successor counts as cleared"""
LIKE = 0.3
"""likeness from which one text is another's edit"""
SAME = 0.7
"""likeness from which it is so whatever the ids around it"""


def compare(one: object, two: object) -> Finding | None:
    """Return the cause of a change of content; None where words or structure were edited."""
    whole = _of_the_whole(one, two)
    if whole is not None:
        return Finding(whole, shown(_words(one)), shown(_words(two)))
    if isinstance(one, str) and isinstance(two, str):
        return of_texts(one, two)
    if forms.reasoning_in(two) < forms.reasoning_in(one):
        return Finding(causes.THINKING_STRIPPED, shown(_words(one)), shown(_words(two)))
    first = next(differences(one, two), None)
    return None if first is None else _of_difference(first)


def first_place(one: object, two: object) -> Finding:
    """Return where two contents part, under a cause that the caller replaces."""
    first = next(differences(one, two), None)
    if first is None:
        return Finding(causes.HISTORY_EDITED)
    if isinstance(first.before, str) and isinstance(first.after, str):
        found = _hunk_finding(causes.HISTORY_EDITED, first.before, first.after)
    else:
        found = Finding(
            causes.HISTORY_EDITED, shown(_words(first.before)), shown(_words(first.after))
        )
    return replace(found, path=written(first.path))


def of_texts(old: str, new: str) -> Finding | None:
    """Compare two texts; None where words were edited."""
    if are_documents(old, new):
        return _hunk_finding(causes.RETRIEVED, old, new)
    cause = grammar.kind_of(first_hunk(old, new))
    return None if cause is None else _hunk_finding(cause, old, new)


def same_message(one: object, two: object, cause: Cause) -> bool:
    """Return whether two contents are one message before and after a change of this cause.

    Where their ids differ, their words must not: other calls of one tool look much alike.
    """
    if _role(one) != _role(two):
        return False
    like = likeness(_said(one), _said(two))
    ids = any(
        _ID_KEY.search(_last_key(place.path)) and ABSENT not in (place.before, place.after)
        for place in differences(one, two)
    )
    if like >= SAME or ids:
        return like >= SAME
    return like >= LIKE or cause is causes.RESULT_CLEARED


def _of_the_whole(one: object, two: object) -> Cause | None:
    same = rewritten(one, two)
    if same is not None:
        return same
    if _role(one) != _role(two) and _content(one) == _content(two):
        return causes.ROLE_CHANGED
    if forms.same_parts_in_another_order(one, two):
        return causes.REORDERED
    if _only_reasoning_went(one, two):
        return causes.THINKING_STRIPPED
    return causes.RE_RENDERED if forms.same_but_wrapper(one, two) else None


def _only_reasoning_went(one: object, two: object) -> bool:
    if forms.reasoning_in(two) >= forms.reasoning_in(one):
        return False
    left, right = forms.without_reasoning(one), forms.without_reasoning(two)
    return dumped(left) == dumped(right) or forms.same_but_wrapper(left, right)


def _of_difference(first: Difference) -> Finding | None:
    before, after = first.before, first.after
    shows = Finding(causes.IMAGE, shown(_words(before)), shown(_words(after)), written(first.path))
    if _is_image(first):
        return shows
    if after is ABSENT and _is_reasoning(first):
        return replace(shows, cause=causes.THINKING_STRIPPED)
    if _is_cleared(first):
        return replace(shows, cause=causes.RESULT_CLEARED)
    if isinstance(before, str) and isinstance(after, str):
        return _of_strings(_last_key(first.path), before, after, shows)
    if all(_is_number(value) for value in (before, after)):
        return replace(shows, cause=causes.COUNTER, before=str(before), after=str(after))
    return _of_block(first, shows)


def _of_strings(key: str, before: str, after: str, shows: Finding) -> Finding | None:
    if _ID_KEY.search(key) or grammar.is_id(before, after):
        return replace(shows, cause=causes.UNIQUE_ID)
    found = of_texts(before, after) or _of_keyed(key, before, after)
    return None if found is None else replace(found, path=shows.path)


def _of_keyed(key: str, before: str, after: str) -> Finding | None:
    """Read the name of a JSON field as the label of its value."""
    if not key or key in ("text", "content", "output", "arguments"):
        return None
    cause = grammar.kind_of(first_hunk(f"{key}: {before}", f"{key}: {after}"))
    return None if cause is None else Finding(cause, shown(before), shown(after))


def _of_block(first: Difference, shows: Finding) -> Finding | None:
    """Judge a part that came, went, or became another kind of part."""
    block = first.before if first.after is ABSENT else first.after
    if first.before is not ABSENT and first.after is not ABSENT:
        return None
    if first.before is ABSENT and are_documents("", text_of(block)):
        return replace(shows, cause=causes.RETRIEVED)
    if first.after is ABSENT and are_documents(text_of(block), ""):
        return replace(shows, cause=causes.RETRIEVED)
    return None


def _is_image(first: Difference) -> bool:
    if any(_holds_image(one) for one in first.around[1:]):
        return True
    both = (first.before, first.after)
    if any(isinstance(value, Mapping) and _holds_image(value) for value in both):
        return True
    # without its image, the text of a message may be written as a plain string
    return any(map(_lists_image, both)) and text_of(both[0]) == text_of(both[1])


def _lists_image(value: object) -> bool:
    return isinstance(value, list) and any(
        isinstance(block, Mapping) and _holds_image(block) for block in value
    )


def _holds_image(block: Mapping[str, object]) -> bool:
    return str(block.get("type")) in _IMAGE_TYPES or bool(_IMAGE_KEYS & block.keys())


def _is_reasoning(first: Difference) -> bool:
    return forms.is_reasoning(first.before) or _last_key(first.path) in forms.REASONING_KEYS


def _is_cleared(first: Difference) -> bool:
    """Return whether a result (or what a tool was called with) gave way to something shorter."""
    in_result = any(map(is_result, first.around))
    before, after = first.before, first.after
    if is_result(before):
        in_result = True
    if _ARGUMENT_KEYS & set(first.path) and after in ({}, "{}", ABSENT):
        return True
    if not in_result or before is ABSENT:
        return False
    if after is ABSENT:
        return not isinstance(before, bool | int)
    old, new = _words(before), _words(after)
    if likeness(old, new) > CLEARED_SHARE and _STUB.search(new) is None:
        return False
    if len(new) < CLEARED_SHARE * len(old):
        return True
    return len(new) <= 200 and _STUB.search(new) is not None and _STUB.search(old) is None


def is_result(value: object) -> bool:
    """Return whether a message, or a part of one, is what a tool gave back."""
    if not isinstance(value, Mapping):
        return False
    content = value.get("content", value.get("parts"))
    if value.get("role") == "user" and isinstance(content, list) and content:
        return all(map(is_result, content))
    return (
        value.get("role") in ("tool", "function")
        or str(value.get("type")) in _RESULT_TYPES
        or bool(_RESULT_KEYS & value.keys())
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _last_key(path: Path) -> str:
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def _said(value: object) -> str:
    """Return the words of a message without the model's reasoning, unless it is nothing else."""
    return _words(value if forms.is_reasoning(value) else forms.without_reasoning(value))


def _role(value: object) -> object:
    return value.get("role") if isinstance(value, Mapping) else None


def _content(value: object) -> bytes:
    return dumped(forms.content_of(value))


def _words(value: object) -> str:
    """Return the words of a value; of one that has none, its JSON."""
    if value is ABSENT:
        return ""
    return text_of(value) or (value if isinstance(value, str) else dumped(value).decode())


def _hunk_finding(cause: Cause, old: str, new: str) -> Finding:
    hunk = first_hunk(old, new)
    before, after = whole_values(hunk)
    return Finding(cause, shown(before), shown(after), "", hunk.start)
