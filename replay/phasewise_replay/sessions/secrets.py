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


# a letter before it may be the end of JSON's `\n`
_START = rb"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4}))"
_QUOTE = rb"\\*[\"']?"
_BODY = rb"(?:[A-Za-z0-9+/=:,. \r\n-]|\\+[nr])"


def _key(kind: str, *hints: str, body: str) -> _Format:
    """Make the format of a key whose first characters are its own; these stay."""
    starts = "|".join(map(re.escape, hints))
    pattern = _START + f"(?:{starts})(?P<secret>{body})".encode()
    return _Format(kind, tuple(hint.lower().encode() for hint in hints), re.compile(pattern))


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
    _key("API key", "sk-", body=r"(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}"),
    _key("API key", "gsk_", "xai-", "hf_", "npm_", "dop_v1_", "dapi", body="[A-Za-z0-9]{30,}"),
    _key("API key", "AIza", body="[A-Za-z0-9_-]{35}"),
    _key("API key", "SG.", body=r"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    _key("API key", "sk_live_", "sk_test_", "rk_live_", "rk_test_", body="[A-Za-z0-9]{16,}"),
    _key("API key", "pypi-", body="[A-Za-z0-9_-]{50,}"),
    _key("access key of AWS", "AKIA", "ASIA", body="[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _key("access token", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", body="[A-Za-z0-9]{36,}"),
    _key("access token", "github_pat_", body="[A-Za-z0-9_]{22,}"),
    _key("access token", "glpat-", body="[A-Za-z0-9_-]{20,}"),
    _key("access token", "xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-", body="[A-Za-z0-9-]{10,}"),
    _key("access token", "ya29.", body="[A-Za-z0-9_-]{20,}"),
    _key(
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
    ]
    # of two that overlap the longer one; of two of one length the kind that is more particular
    end = 0
    for secret in sorted(found, key=lambda secret: (secret.start, -secret.end)):
        if secret.start >= end:
            yield secret
            end = secret.end
