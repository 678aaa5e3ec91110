"""Check whether two values are the same JSON or text in another serialisation."""

import html
import json
import re
import unicodedata
from collections.abc import Iterator

from phasewise_store.trie import shared_length

from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.diagnosis.parts import DEEPEST

_NO_WIDTH = ("\u200b", "\u200c", "\u200d", "\ufeff")
_STRING_OR_SPACE = re.compile(r'"(?:[^"\\]|\\.)*"|\s+', re.DOTALL)
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\(/)")
_STARTS_TRIED = 40
"""braces before a difference that are tried as the start of JSON inside a text"""

_DECODER = json.JSONDecoder()
Ways = frozenset[Cause]


def rewritten(one: object, two: object) -> Cause | None:
    """Return how the same content is serialised differently; None if the content differs.

    Of several, the one that says most: the order of keys, then escapes and numbers, then spaces.
    """
    ways = _ways(one, two, DEEPEST)
    if not ways:
        return None
    for cause in (causes.KEY_ORDER, causes.REWRITTEN, causes.WHITESPACE):
        if cause in ways:
            return cause
    return None


def _ways(one: object, two: object, levels: int) -> Ways | None:
    """Return all the ways; None where the two differ, nothing where they are equal."""
    if levels == 0:
        return Ways() if one == two else None
    if isinstance(one, dict) and isinstance(two, dict):
        return _ways_of_objects(one, two, levels)
    if isinstance(one, list) and isinstance(two, list):
        pairs = zip(one, two, strict=False)
        found = _union(_ways(left, right, levels - 1) for left, right in pairs)
        return found if len(one) == len(two) else None
    if isinstance(one, str) and isinstance(two, str):
        return Ways() if one == two else _ways_of_text(one, two, levels)
    return _ways_of_scalars(one, two)


def _ways_of_objects(one: dict[str, object], two: dict[str, object], levels: int) -> Ways | None:
    if one.keys() != two.keys():
        return None
    ways = _union(_ways(value, two[key], levels - 1) for key, value in one.items())
    if ways is not None and list(one) != list(two):
        ways |= {causes.KEY_ORDER}
    return ways


def _ways_of_scalars(one: object, two: object) -> Ways | None:
    if type(one) is type(two):
        return Ways() if one == two else None
    if isinstance(one, bool) or isinstance(two, bool) or one != two:
        return None
    # 1 and 1.0 are one number and two texts
    return Ways({causes.REWRITTEN})


def _union(found: Iterator[Ways | None]) -> Ways | None:
    ways = Ways()
    for one in found:
        if one is None:
            return None
        ways |= one
    return ways


def _ways_of_text(one: str, two: str, levels: int) -> Ways | None:
    if _without_space(one) == _without_space(two):
        return Ways({causes.WHITESPACE})
    left, right = _document(one), _document(two)
    if left is not None and right is not None:
        return _ways_of_json(one, two, left, right, levels)
    if _unescaped(one) == _unescaped(two):
        return Ways({causes.REWRITTEN})
    return _ways_inside(one, two, levels)


def _without_space(text: str) -> str:
    for one in () if text.isascii() else _NO_WIDTH:
        text = text.replace(one, "")
    return "".join(text.split())


def _ways_of_json(one: str, two: str, left: object, right: object, levels: int) -> Ways | None:
    ways = _ways(left, right, levels - 1)
    if ways is None:
        return None
    if _compact(one) == _compact(two):
        return ways | {causes.WHITESPACE}
    return ways or Ways({causes.REWRITTEN})


def _ways_inside(one: str, two: str, levels: int) -> Ways | None:
    """Look for a JSON document inside each text that holds the whole difference."""
    start = shared_length(one, two)
    tail = shared_length(one[start:][::-1], two[start:][::-1])
    before = one[:start]
    place = start
    for _ in range(_STARTS_TRIED):
        place = max(before.rfind("{", 0, place), before.rfind("[", 0, place))
        if place < 0:
            return None
        try:
            left, left_end = _DECODER.raw_decode(one, place)
            right, right_end = _DECODER.raw_decode(two, place)
        except (ValueError, RecursionError):
            continue
        if left_end < len(one) - tail or right_end < len(two) - tail:
            continue
        return _ways_of_json(one[place:left_end], two[place:right_end], left, right, levels)
    return None


def _document(text: str) -> object:
    inner = text.strip()
    if inner[:1] not in ("{", "["):
        return None
    try:
        return json.loads(inner)
    except (ValueError, RecursionError):
        return None


def _compact(text: str) -> str:
    """Take out the white space between a JSON text's tokens."""
    return _STRING_OR_SPACE.sub(lambda found: "" if found[0].isspace() else found[0], text)


def _unescaped(text: str) -> str:
    if text.isascii() and "\\" not in text and "&" not in text:
        return text
    plain = _ESCAPE.sub(lambda found: found[2] or chr(int(found[1], 16)), text)
    # a character beyond U+FFFF is escaped as two halves
    plain = plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return unicodedata.normalize("NFC", html.unescape(plain))
