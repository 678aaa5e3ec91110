"""Read what JavaScript prints of an object (`console.dir`, `util.inspect`) as JSON.

OpenTelemetry's console exporter for JavaScript prints spans so: names without quotes, texts in
single quotes and joined by `+`, `undefined`, and `[Object]` where it was told to go no deeper.
"""

import json
import re
from collections.abc import Iterator

_OPENS = re.compile(rb"^\{\s+[A-Za-z_]\w*: ", re.MULTILINE)
_JOIN = re.compile(r"\s*\+\s*(?=['\"`])")
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`)"""
    r"""|(?P<cut>\[(?:Object|Array|Circular|Function|Getter)[^\]]*\]|<ref[^>]*>|Symbol\([^)]*\))"""
    r"""|(?P<more>,?\s*\.\.\.\s*\d+\s+more\s+(?:items?|characters?))"""
    r"""|(?P<number>-?\d[\d.]*(?:e[+-]?\d+)?)n?\b"""
    r"""|(?P<word>[A-Za-z_$][\w$]*)"""
    r"""|(?P<sign>[{}\[\],:])|(?P<space>\s+)|(?P<other>.)""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_WORDS = {"true": "true", "false": "false", "null": "null", "undefined": "null", "NaN": "null"}


def is_printed(head: bytes) -> bool:
    """Return whether a file holds objects as JavaScript prints them."""
    return _OPENS.search(head) is not None


def as_json(text: str) -> str:
    """Write printed objects as JSON; what is neither stays, for the parser to name."""
    return "".join(_written(text))


def _written(text: str) -> Iterator[str]:
    place = 0
    joined = ""
    while place < len(text):
        token = _TOKEN.match(text, place)
        assert token is not None
        place = token.end()
        kind, said = token.lastgroup, token[0]
        if kind == "text":
            joined += _ESCAPE.sub(_unescaped, said[1:-1])
            join = _JOIN.match(text, place)
            if join is not None:
                place = join.end()
                continue
            yield json.dumps(joined)
            joined = ""
        elif kind == "word":
            is_name = text[place : place + 1] == ":"
            yield json.dumps(said) if is_name else _WORDS.get(said, "")
        elif kind == "number":
            yield token["number"]
        elif kind == "cut":
            yield "null"
        elif kind != "more":
            yield said


def _unescaped(escape: re.Match[str]) -> str:
    sign = escape[1]
    if len(sign) > 1:
        return chr(int(sign[1:], 16))
    return _LETTERS.get(sign, sign)
