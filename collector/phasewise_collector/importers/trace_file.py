"""Read a file as UTF-8, compressed or not; a damaged archive yields its readable part."""

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from phasewise_store.errors import UsageError

from phasewise_collector.importers.encoding import utf8
from phasewise_collector.importers.importer import Trace

HEAD_BYTES = 64 * 1024
"""as much as a format is recognised by"""
MOST_LINE_BYTES = 4 << 20

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS
_CHUNK_BYTES = 16 * 1024
"""compressed bytes that are lost at most where an archive is damaged"""


def head(path: Path) -> bytes:
    """Return the first uncompressed bytes of a file, to the end of a line.

    A line of more than `MOST_LINE_BYTES` is cut: that is one document, not one of many.
    """
    begun, end = b"", 0
    with _opened(path) as file:
        for part in _expanded(file):
            begun += part
            end = begun.find(b"\n", HEAD_BYTES) + 1
            if end or len(begun) >= MOST_LINE_BYTES:
                break
    return utf8(begun[: end or HEAD_BYTES])


def _expanded(file: BinaryIO) -> Iterator[bytes]:
    """Return a file's uncompressed bytes part by part, to where an archive ends or is damaged."""
    raw = file.read(HEAD_BYTES)
    if not raw.startswith(_GZIP_MAGIC):
        while raw:
            yield raw
            raw = file.read(HEAD_BYTES)
        return
    archive = zlib.decompressobj(_GZIP)
    while raw and not archive.eof:
        try:
            yield archive.decompress(raw, HEAD_BYTES)
        except zlib.error:
            return
        raw = archive.unconsumed_tail or file.read(HEAD_BYTES)


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
