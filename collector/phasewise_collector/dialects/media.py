"""Replace base64 images, audio and documents in prompts by a placeholder.

Their text would be counted as tokens and stored with every prompt. The placeholder has size and
digest: the same image keeps the same prefix, and another one breaks it.
"""

import binascii
import hashlib
import re

LEAST_CHARACTERS = 256
"""shorter base64 stays: an icon, an id"""

_MARKS = (b"base64", b"nline", b'"blob"', b"input_audio", b'"bytes"')
"""what stands beside every base64 in a message of OpenAI, Anthropic, Google, Bedrock, OTel"""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+(?:=[A-Za-z0-9+/_-]*)*")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.=+-]+)*);base64,")


def may_hold(raw: bytes) -> bool:
    """Return whether a written message may hold media."""
    return len(raw) > LEAST_CHARACTERS and any(mark in raw for mark in _MARKS)


def without(value: object) -> object:
    """Return a message with placeholders in the place of its media."""
    if isinstance(value, dict):
        if value.get("type") == "text":
            return value
        return {key: one if key == "text" else without(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without(one) for one in value]
    if not isinstance(value, str) or len(value) < LEAST_CHARACTERS:
        return value
    url = _DATA_URL.match(value)
    data = value[url.end() :] if url else value
    if not _BASE64.fullmatch(data):
        return value
    return (url[0].removesuffix(";base64,") + ";" if url else "") + _placeholder(data)


def _placeholder(data: str) -> str:
    try:
        raw = binascii.a2b_base64(data.translate(_PLAIN), strict_mode=True)
    except binascii.Error:
        raw = data.encode()
    return f"sha256={hashlib.sha256(raw).hexdigest()};bytes={len(raw)}"


_PLAIN = str.maketrans("-_", "+/")
