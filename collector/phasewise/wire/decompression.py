"""Decompress an answer piece by piece, so that each piece keeps the time at which it came.

Some clients hand on bytes they have decompressed already; others do not. The bytes tell.
"""

import importlib
import zlib
from collections.abc import Callable, Iterable, Iterator

Chunk = tuple[int, bytes]
Decoder = Callable[[bytes], bytes]
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_MAGIC_BYTES = 4
_BEGINNINGS = {magic[:size] for magic in (_GZIP, _ZSTD) for size in range(len(magic))}
_BODY_STARTS = (b"{", b"[", b"data:", b"event:", b"id:", b":", b"retry:")


class UnreadableError(Exception):
    """The answer is in an encoding that cannot be read here."""


def plain(chunks: Iterable[Chunk], encoding: str) -> Iterator[Chunk]:
    """Return the chunks decompressed; raises UnreadableError."""
    decode: Decoder | None = None
    known, head = False, b""
    for moment, piece in chunks:
        data = piece
        if not known:
            head += piece
            if len(head) < _MAGIC_BYTES and head in _BEGINNINGS:
                continue  # too little to tell
            decode, known, data = _decoder(head, encoding.strip().lower()), True, head
        if decode is None:
            yield moment, data
            continue
        try:
            yield moment, decode(data)
        except Exception as error:  # each library has an error of its own
            raise UnreadableError(encoding) from error


def unpacked(body: bytes) -> bytes:
    """Return a request's body decompressed; raises UnreadableError."""
    return b"".join(data for _, data in plain([(0, body)], ""))


def _decoder(data: bytes, encoding: str) -> Decoder | None:
    if data.startswith(_GZIP):
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress
    if data.startswith(_ZSTD):
        return _zstd()
    if encoding in ("", "identity") or data.lstrip().startswith(_BODY_STARTS):
        return None
    if encoding == "br":
        return _brotli()
    if encoding == "deflate":
        raw = data[0] & 0x0F != zlib.DEFLATED
        return zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS).decompress
    return None


def _brotli() -> Decoder:
    """Use the library that the program's own client decodes with."""
    for name in ("brotli", "brotlicffi"):
        try:
            found: Decoder = importlib.import_module(name).Decompressor().process
        except ImportError:
            continue
        return found
    raise UnreadableError("br")


def _zstd() -> Decoder:
    try:
        found: Decoder = importlib.import_module("compression.zstd").ZstdDecompressor().decompress
    except ImportError:
        try:
            made = importlib.import_module("zstandard").ZstdDecompressor().decompressobj()
        except ImportError:
            raise UnreadableError("zstd") from None
        found = made.decompress
    return found
