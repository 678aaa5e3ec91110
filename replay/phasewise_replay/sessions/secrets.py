"""Find secrets in recorded text: keys, tokens, private keys, passwords.  Pure.

Works on the bytes as they were recorded, most of them JSON, so a line end is often a backslash and
a letter. Formats: https://github.com/gitleaks/gitleaks (config/gitleaks.toml) lists most of them
with their sources.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret stands in a text."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Format:
    """How a kind of secret looks; the group `secret` is what is replaced."""

    kind: str
    hints: tuple[bytes, ...]
    """one of them is in every text with such a secret, in lower case; quick to look for"""
    pattern: re.Pattern[bytes]
    starts_word: bool = False
    """its first character is the first of a word"""


# the letter before a word may be the end of JSON's `\n`
_BEFORE_WORD = re.compile(rb"(?:\A|[^A-Za-z0-9_-]|\\[nrtbf]|\\u[0-9a-fA-F]{4})\Z")
_BEFORE_BYTES = 6
_QUOTE = rb"\\*[\"']?"
_BODY = rb"(?:[A-Za-z0-9+/=:,. \r\n-]|\\+[nr])"


def _keys(kind: str, *starts: str, body: str) -> tuple[_Format, ...]:
    """Make the formats of keys whose first characters are their own; these stay.

    A pattern that begins with letters is searched ten times as fast as one with a condition before.
    """
    return tuple(
        _Format(
            kind,
            (start.lower().encode(),),
            re.compile(f"{re.escape(start)}(?P<secret>{body})".encode()),
            starts_word=True,
        )
        for start in starts
    )


_FORMATS = (
    _Format(
        "private key",
        (b"private key-----",),
        # to its end, or to the end of a text that was cut in the middle of it
        re.compile(
            rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?P<secret>%s+?)(?:-----END |(?!%s))"
            % (_BODY, _BODY)
        ),
    ),
    _Format(
        "private key",
        (b"private key-----",),
        re.compile(rb"\A(?P<secret>[A-Za-z0-9+/=\r\n]+)-----END [A-Z0-9 ]*PRIVATE KEY-----"),
    ),
    _Format(
        "private key",
        (b"\n",),
        # a piece of a raw prompt, which is cut at line ends: nothing but lines of base64
        re.compile(rb"\A(?P<secret>(?:[A-Za-z0-9+/]{60,76}\r?\n){4,})\Z"),
    ),
    *_keys("API key", "sk-", body=r"(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}"),
    *_keys("API key", "gsk_", "xai-", "hf_", "npm_", "dop_v1_", "dapi", body="[A-Za-z0-9]{30,}"),
    *_keys("API key", "AIza", body="[A-Za-z0-9_-]{35}"),
    *_keys("API key", "SG.", body=r"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    *_keys("API key", "sk_live_", "sk_test_", "rk_live_", "rk_test_", body="[A-Za-z0-9]{16,}"),
    *_keys("API key", "pypi-", body="[A-Za-z0-9_-]{50,}"),
    *_keys("access key of AWS", "AKIA", "ASIA", body="[A-Z0-9]{16}(?![A-Za-z0-9])"),
    *_keys("access token", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", body="[A-Za-z0-9]{36,}"),
    *_keys("access token", "github_pat_", body="[A-Za-z0-9_]{22,}"),
    *_keys("access token", "glpat-", body="[A-Za-z0-9_-]{20,}"),
    *_keys("access token", "xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-", body="[A-Za-z0-9-]{10,}"),
    *_keys("access token", "ya29.", body="[A-Za-z0-9_-]{20,}"),
    *_keys(
        "JSON web token", "eyJ", body=r"[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"
    ),
    _Format(
        "address of a webhook",
        (b"hooks.slack.com",),
        re.compile(rb"hooks\.slack\.com\\?/services\\?/(?P<secret>[A-Za-z0-9/\\]{20,})"),
    ),
    _Format(
        "password in an address",
        (b"://", rb":\/\/"),
        re.compile(
            rb"[a-zA-Z][a-zA-Z0-9+.-]*:\\?/\\?/[^\s/:@\"'\\<>{}$]{0,64}:"
            rb"(?P<secret>[^\s/:@\"'\\<>{}$]{3,128})@"
        ),
    ),
    _Format(
        "authorization header",
        (b"bearer", b"basic"),
        re.compile(
            rb"(?i:bearer|basic) +(?P<secret>(?=[A-Za-z._~+/-]*[0-9=])[A-Za-z0-9._~+/=-]{16,})"
        ),
    ),
    _Format(
        "password",
        (b"passw", b"pwd"),
        re.compile(
            rb"(?i:password|passwd|pwd)%s\s{0,3}(?:=>|[:=])\s{0,3}%s"
            rb"(?P<secret>(?=[A-Za-z._+/-]*[0-9!@#$%%^&*]|[A-Za-z]*[a-z][A-Z])"
            rb"[A-Za-z0-9_~+/=!@#$%%^&*-]{6,128})(?![A-Za-z0-9_.(\[])" % (_QUOTE, _QUOTE)
        ),
    ),
    _Format(
        "named secret",
        (b"secret", b"token", b"key", b"credential"),
        re.compile(
            rb"(?i:secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key|"
            rb"secret[_-]?key)%s\s{0,3}(?:=>|[:=])\s{0,3}%s"
            rb"(?P<secret>(?=[0-9._~+/-]*[A-Za-z])(?=[A-Za-z._~+/-]*[0-9])"
            rb"[A-Za-z0-9._~+/=-]{12,256})(?![A-Za-z0-9_.(\[])" % (_QUOTE, _QUOTE)
        ),
    ),
)


def find(text: bytes) -> Iterator[Secret]:
    """Yield the secrets of a text in their order, none of which overlaps another."""
    small = text.lower()
    found = [
        Secret(one.kind, *match.span("secret"))
        for one in _FORMATS
        if any(hint in small for hint in one.hints)
        for match in one.pattern.finditer(text)
        if not one.starts_word or _starts_word(text, match.start())
    ]
    # of two that begin together the longer one, and of these the kind that is more particular
    end = 0
    for secret in sorted(found, key=lambda secret: (secret.start, -secret.end)):
        if secret.start >= end:
            yield secret
            end = secret.end


def _starts_word(text: bytes, place: int) -> bool:
    return _BEFORE_WORD.search(text[max(0, place - _BEFORE_BYTES) : place]) is not None
