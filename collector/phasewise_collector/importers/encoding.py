"""Decode a file's text to UTF-8 without a byte order mark; all importers read through this.

PowerShell's `>` writes UTF-16 with a byte order mark, some editors put one before UTF-8, and some
programs write UTF-16 without one. Bytes that are not text (protobuf, SQLite) pass unchanged.
"""

import codecs

UTF8_MARK = codecs.BOM_UTF8
_BY_MARK = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OPENINGS = (b"{", b"[", b'"')
"""what a JSON text begins with"""
_SHOWN_UNITS = 4
"""so many characters in ASCII, each beside a zero byte, show UTF-16 without a mark"""


def utf8(data: bytes) -> bytes:
    """Return the same text as UTF-8 without a byte order mark.

    A lone surrogate, or half a character where the data was cut, becomes U+FFFD.
    """
    for mark, encoding in _BY_MARK:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace").encode()
    if (name := _unmarked(data)) is not None:
        return data.decode(name, "replace").encode()
    return data.removeprefix(UTF8_MARK)


def _unmarked(data: bytes) -> str | None:
    start = data[: 2 * _SHOWN_UNITS]
    for name, places in (("utf-16-le", slice(0, None, 2)), ("utf-16-be", slice(1, None, 2))):
        letters = start[places]
        zeros = start[1::2] if places.start == 0 else start[::2]
        if letters.startswith(_OPENINGS) and b"\0" not in letters and not any(zeros):
            return name
    return None
