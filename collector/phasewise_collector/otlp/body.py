"""Decompress a request body, never beyond a size limit."""

from collections.abc import Callable

import zstandard
from zlib_ng import zlib_ng

from phasewise_collector.otlp.spans import MalformedError

MIB = 1 << 20
LIMIT_BYTES = 64 * MIB
"""the limit that the OTLP specification recommends, before and after decompression"""

_BadZlib: type[Exception] = zlib_ng.error  # type: ignore[assignment]  # its stubs say otherwise
_GZIP_WINDOW = 31  # zlib's way to say: gzip header, largest window
_ZLIB_WINDOW = 15
_ZSTD_STEP_BYTES = 512  # a block of 4 bytes can stand for 128 KiB, so a step gives 16 MiB at most


class TooLargeError(Exception):
    """The body is larger than the limit, before or after decompression."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"the request is larger than {limit_bytes // MIB} MiB after decompression; "
            "send fewer spans in one request"
        )


class UnknownEncodingError(Exception):
    """The body is compressed in a way we do not read."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"unknown content encoding `{encoding}`; send gzip, zstd, deflate or none")


def inflate(body: bytes, encoding: str, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Return the plain bytes; raises TooLargeError, UnknownEncodingError, MalformedError."""
    return _DECODERS[canonical(encoding)](body, limit_bytes)


def canonical(encoding: str) -> str:
    """Return an encoding's one name, empty for none; raises UnknownEncodingError."""
    name = encoding.strip().lower()
    name = _OTHER_NAMES.get(name, name)
    if name not in _DECODERS:
        raise UnknownEncodingError(encoding)
    return name


def _plain(body: bytes, limit_bytes: int) -> bytes:
    if len(body) > limit_bytes:
        raise TooLargeError(limit_bytes)
    return body


def _gzip(body: bytes, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    room = limit_bytes
    rest = body
    try:
        while rest or not parts:
            member = zlib_ng.decompressobj(_GZIP_WINDOW)
            part = member.decompress(rest, room + 1)
            room -= len(part)
            if room < 0:
                raise TooLargeError(limit_bytes)
            if not member.eof:
                raise MalformedError("the gzip body is truncated")
            parts.append(part)
            rest = member.unused_data
    except _BadZlib as error:
        raise MalformedError(f"the body is labelled gzip, but is not gzip: {error}") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _zlib(body: bytes, limit_bytes: int) -> bytes:
    stream = zlib_ng.decompressobj(_ZLIB_WINDOW)
    try:
        plain = stream.decompress(body, limit_bytes + 1)
    except _BadZlib as error:
        raise MalformedError(f"the body is labelled deflate, but is not zlib: {error}") from None
    if len(plain) > limit_bytes:
        raise TooLargeError(limit_bytes)
    if not stream.eof:
        raise MalformedError("the deflate body is truncated")
    return plain


def _zstd(body: bytes, limit_bytes: int) -> bytes:
    # a stream_reader would not tell that the last frame is cut short; a decompressobj has no limit
    # of its own, so it is fed little at a time
    parts: list[bytes] = []
    room = limit_bytes
    frame = zstandard.ZstdDecompressor(max_window_size=LIMIT_BYTES).decompressobj()
    rest = memoryview(body)
    try:
        while rest:
            if frame.eof:
                frame = zstandard.ZstdDecompressor(max_window_size=LIMIT_BYTES).decompressobj()
            part = frame.decompress(rest[:_ZSTD_STEP_BYTES])
            room -= len(part)
            if room < 0:
                raise TooLargeError(limit_bytes)
            parts.append(part)
            rest = rest[len(rest[:_ZSTD_STEP_BYTES]) - len(frame.unused_data) :]
    except zstandard.ZstdError as error:
        raise MalformedError(f"the body is labelled zstd, but is not zstd: {error}") from None
    if not frame.eof:
        raise MalformedError("the zstd body is truncated")
    return b"".join(parts)


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "": _plain,
    "gzip": _gzip,
    "zstd": _zstd,
    "deflate": _zlib,
}
_OTHER_NAMES = {"identity": "", "x-gzip": "gzip", "zlib": "deflate"}
