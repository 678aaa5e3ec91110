"""Read a file as UTF-8, compressed or not; a damaged archive yields its readable part."""

import hashlib
import zlib
from pathlib import Path
from typing import BinaryIO

from phasewise_store.errors import UsageError

from phasewise_collector.importers.encoding import utf8
from phasewise_collector.importers.importer import Trace

HEAD_BYTES = 64 * 1024
"""as much as a format is recognised by"""

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS
_CHUNK_BYTES = 16 * 1024
"""compressed bytes that are lost at most where an archive is damaged"""


def head(path: Path) -> bytes:
    """Return the first uncompressed bytes of a file."""
    with _opened(path) as file:
        raw = file.read(HEAD_BYTES)
    if not raw.startswith(_GZIP_MAGIC):
        return utf8(raw)
    try:
        return utf8(zlib.decompressobj(_GZIP).decompress(raw, HEAD_BYTES))
    except zlib.error:
        return b""


def load(path: Path) -> Trace:
    """Read a whole file; its source_id is the same however it was compressed and encoded."""
    with _opened(path) as file:
        raw = file.read()
    data, damage = _gunzip(raw) if raw.startswith(_GZIP_MAGIC) else (raw, None)
    text = utf8(data)
    return Trace(path, hashlib.sha256(text).hexdigest(), text, damage)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {error.strerror}") from error


def _gunzip(raw: bytes) -> tuple[bytes, str | None]:
    """Expand all members of an archive, and say what stopped it before the end."""
    parts: list[bytes] = []
    rest = raw
    while rest:
        if not rest.startswith(_GZIP_MAGIC):
            return b"".join(parts), "the compressed data is followed by bytes that are not gzip"
        member = zlib.decompressobj(_GZIP)
        start = 0
        try:
            while start < len(rest) and not member.eof:
                parts.append(member.decompress(rest[start : start + _CHUNK_BYTES]))
                start += _CHUNK_BYTES
        except zlib.error as error:
            return b"".join(parts), f"the compressed data is damaged ({error})"
        if not member.eof:
            return b"".join(parts), "the compressed data is truncated"
        rest = (member.unused_data + rest[start:]).lstrip(b"\0")
    return b"".join(parts), None
