"""Text in place of an image, a document or a recording, with about as many tokens.

The same data gives the same text in every process, and other data another text, so a prefix cache
hits with the text where it would hit with the data.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import orjson
import xxhash
from phasewise_store.tokens import estimate

Noun = Literal["image", "document", "audio", "video"]

UNKNOWN_TOKENS = 800
"""where the data says nothing of its size: about an image of 900 by 700 pixels"""
# https://docs.anthropic.com/en/docs/build-with-claude/vision (2026-11-20): width * height / 750,
# scaled down to 1,568 pixels on the longer side and about 1,600 tokens
PIXELS_PER_TOKEN = 750
LONGEST_SIDE = 1568
MOST_IMAGE_TOKENS = 1600
LOW_DETAIL_TOKENS = 85
"""OpenAI's fixed price of an image with `detail: low`"""
PDF_PAGE_TOKENS = 1500
"""Anthropic: 1,500 to 3,000 tokens a page, by how full it is"""
_PAGE = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_DATA_URL = re.compile(r"data:([\w.+/-]*)[^,]*,")
_MIME_KEYS = ("media_type", "mediaType", "mime_type", "mimeType", "format", "file_type")
_HEAD_CHARACTERS = 1 << 18
_VOCABULARY = (
    "able area away back base been best blue body book both call came card care case city clear "
    "close cold come cost dark data date days deal deep door down draw each early earth east easy "
    "edge else even ever face fact fall farm fast feel field fill find fine fire first five floor "
    "flow food form four free from full game gave girl give glass goes gold gone good grow half "
    "hand hard have head hear heat held help here high hill hold home hope hour house idea into "
    "just keep kind king knew know land large last late lead left less life light like line list "
    "live long look lost love made main make many mark mass mean meet mile mind miss money moon "
    "more most move much must name near need next night north note once only open over page paper "
    "part pass past path place plain plan plant play point poor power press pull race rain read "
    "real rest rich ride right rise river road rock room rule safe said sail salt same sand save "
    "seen self send ship shop short show side sign sing size slow small snow soft soil some song "
    "soon sound south space stand star stay step still stone stop store story such sure table "
    "take talk tell test than that them then they thin this thus time tone town tree trip true "
    "turn type under unit upon used very view voice wait walk wall want warm watch water wave "
    "week well went west what wheel when white wide wild will wind wish with wood word work world "
    "year young your"
)
_WORDS = tuple(_VOCABULARY.split())
"""short and common: one token each, with the space before it"""


class Placeholder(NamedTuple):
    """Text that stands for data."""

    text: str
    tokens: int
    """by the same estimate as the store's"""
    noun: Noun


def text_in(block: Mapping[str, object]) -> str | None:
    """Return the words of a document that is text itself."""
    source = block.get("source", block.get("inlineData", block.get("inline_data", block)))
    if not isinstance(source, Mapping) or not _mime(source).startswith("text/"):
        return None
    data = source.get("data", source.get("text"))
    if not isinstance(data, str):
        return None
    if source.get("type") == "text":
        return data
    raw = _decoded(data)
    return raw.decode("utf-8", "replace") if raw else data


def for_data(block: Mapping[str, object], kind: str) -> Placeholder:
    """Return the text that stands for an image, a document or a recording in any API's form."""
    data = max(_strings(block), key=len, default="")
    named = _DATA_URL.match(data)
    mime = named[1] if named else next(filter(None, map(_mime, _objects(block))), "")
    noun = _noun(mime, kind)
    payload = data[named.end() :] if named else data
    tokens = _tokens(block, payload, noun)
    return Placeholder(*_filler(noun, orjson.dumps(block, default=str), tokens), noun)


def for_secret(block: Mapping[str, object], encrypted: str) -> str:
    """Return text for what only the provider can read, about as long as it: base64 of UTF-8."""
    return _filler("document", orjson.dumps(block, default=str), len(encrypted) * 3 // 16)[0]


def _filler(noun: str, data: bytes, tokens: int) -> tuple[str, int]:
    data = xxhash.xxh3_64_digest(data)
    head = f"[{noun} {data.hex()}]"
    missing = max(0, tokens - estimate(head))
    stream = b"".join(
        xxhash.xxh3_64_digest(data, seed=place) for place in range(math.ceil(missing / 8))
    )
    words = (_WORDS[byte % len(_WORDS)] for byte in stream[:missing])
    return " ".join([head, *words]), estimate(head) + missing


def _tokens(block: Mapping[str, object], payload: str, noun: Noun) -> int:
    if noun == "document":
        raw = _decoded(payload) or b""
        pages = len(_PAGE.findall(raw))
        return pages * PDF_PAGE_TOKENS if pages else UNKNOWN_TOKENS
    if noun != "image":
        return UNKNOWN_TOKENS
    if any(one.get("detail") == "low" for one in _objects(block)):
        return LOW_DETAIL_TOKENS
    size = _pixels(_decoded(payload[:_HEAD_CHARACTERS]) or b"")
    if size is None:
        return UNKNOWN_TOKENS
    width, height = size
    scale = min(1.0, LONGEST_SIDE / max(width, height, 1))
    pixels = width * height * scale * scale
    return max(1, min(MOST_IMAGE_TOKENS, math.ceil(pixels / PIXELS_PER_TOKEN)))


def _pixels(raw: bytes) -> tuple[int, int] | None:
    """Read width and height from the head of a PNG, GIF, JPEG or WebP file."""
    if raw.startswith(b"\x89PNG") and len(raw) >= 24:
        return struct.unpack(">II", raw[16:24])
    if raw.startswith(b"GIF8") and len(raw) >= 10:
        return struct.unpack("<HH", raw[6:10])
    if raw.startswith(b"RIFF") and raw[12:16] == b"VP8X" and len(raw) >= 30:
        return (
            1 + int.from_bytes(raw[24:27], "little"),
            1 + int.from_bytes(raw[27:30], "little"),
        )
    if raw.startswith(b"\xff\xd8"):
        return _jpeg_pixels(raw)
    return None


def _jpeg_pixels(raw: bytes) -> tuple[int, int] | None:
    """Find the frame header (SOF0 to SOF15, without tables and the like) among the segments."""
    at = 2
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", raw[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    return None


def _decoded(payload: str) -> bytes | None:
    """Decode base64; what is behind the last whole group is left out."""
    whole = payload[: len(payload) // 4 * 4].encode("ascii", "ignore")
    try:
        return base64.b64decode(whole, altchars=None, validate=False)
    except binascii.Error:
        return None


def _noun(mime: str, kind: str) -> Noun:
    for noun in ("image", "audio", "video"):
        if mime.startswith(noun) or (not mime and noun in kind):
            return noun
    if mime in ("png", "jpeg", "jpg", "gif", "webp"):
        return "image"
    if mime in ("wav", "mp3"):
        return "audio"
    if "image" in kind:
        return "image"
    return "document"


def _mime(block: Mapping[str, object]) -> str:
    return next((value for key in _MIME_KEYS if isinstance(value := block.get(key), str)), "")


def _objects(value: object) -> Iterator[Mapping[str, object]]:
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _strings(block: Mapping[str, object]) -> Iterator[str]:
    for one in _objects(block):
        yield from (value for value in one.values() if isinstance(value, str))
