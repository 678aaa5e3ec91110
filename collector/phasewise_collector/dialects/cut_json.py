"""Read truncated JSON, as a limit on the length of attributes produces it.

`OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` cuts a list of messages anywhere. The part before the cut is
kept, and the call is marked as truncated.
"""

import re

import orjson

_CLOSING = {"[": "]", "{": "}"}
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|(\\?\Z))|[\[\]{},]', re.DOTALL)
"""a text, of which a group says that it has no end; a bracket; a comma"""
_HALF_ESCAPE = re.compile(
    r"(?<!\\)((?:\\\\)*)(?:\\u[dD][89abAB][0-9a-fA-F]{2})?(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z"
)
"""what is left of a character that was cut: half an escape, half a surrogate pair"""


def is_cut(value: object) -> bool:
    """Return whether a value is the beginning of a JSON object or list, and not all of it."""
    if not isinstance(value, str) or value[:1] not in _CLOSING:
        return False
    return not value.rstrip().endswith(_CLOSING[value[0]]) and repaired(value) is not None


def repaired(text: str) -> object:
    """Return what stands before the cut; None where the text is no JSON, or is whole."""
    open_at: list[str] = []
    safe, closed_since = 0, ""
    whole = text
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign in _CLOSING:
            open_at.append(_CLOSING[sign])
            safe, closed_since = token.end(), ""
        elif sign == ",":
            safe, closed_since = token.start(), ""
        elif open_at and sign == open_at[-1]:
            closed_since += open_at.pop()
        elif sign in "]}":
            return None
        elif token[1] is not None:
            whole = _HALF_ESCAPE.sub(r"\1", text) + '"'
    if not open_at:
        return None
    closing = "".join(reversed(open_at))
    for candidate in (whole + closing, text[:safe] + closed_since + closing):
        try:
            return orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
    return None
