"""One request in the log: a checksummed header, then the unchanged body.

A segment file is a sequence of frames. A frame that fails its checksum was damaged on disk, or was
being written during a crash, in which case its sender got no response.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from mmap import mmap
from typing import Final

import xxhash

MAGIC: Final = b"PWL2"
_HEAD = struct.Struct("<4sBBBxIIIIQQ")
_SUM = struct.Struct("<Q")
HEADER_BYTES = _HEAD.size + _SUM.size

SIGNALS = ("traces", "metrics", "logs")
FORMS = ("protobuf", "json")
ENCODINGS = ("", "gzip", "zstd", "deflate")


@dataclass(frozen=True, slots=True)
class Frame:
    """A request that passed its check."""

    signal: str
    """one of SIGNALS"""
    form: str
    """one of FORMS: how it is written"""
    encoding: str
    """one of ENCODINGS: how the body is compressed"""
    sequence: int
    """counts the requests of one acceptor process, from 0"""
    received_ns: int
    body: bytes
    accepted: int = 0
    """items that the sender was told are kept: spans, data points or log records"""
    rejected: int = 0
    """items that the sender was told are not"""
    plain_bytes: int = 0
    """how large the body is without compression"""


@dataclass(frozen=True, slots=True)
class Found:
    """A frame in a segment, or bytes that are none."""

    frame: Frame | None
    """None: these bytes are damaged"""
    start: int
    end: int
    """where in the segment the next frame begins"""


def pack(frame: Frame) -> tuple[bytes, bytes]:
    """Return a frame as header and body, to be written without joining them."""
    head = _HEAD.pack(
        MAGIC,
        SIGNALS.index(frame.signal),
        FORMS.index(frame.form),
        ENCODINGS.index(frame.encoding),
        len(frame.body),
        frame.plain_bytes,
        frame.accepted,
        frame.rejected,
        frame.sequence,
        frame.received_ns,
    )
    return head + _SUM.pack(_checksum(head, frame.body)), frame.body


def scan(data: bytes, offset: int = 0, *, complete: bool) -> Iterator[Found]:
    """Walk over the frames from an offset.

    `complete` says that nobody writes to the segment any more: then a frame cut short at the end is
    damage; otherwise it is still being written, and the walk stops before it.
    """
    while offset < len(data):
        found = _at(data, offset)
        if found is None:
            following = _next(data, offset + 1, complete=complete)
            if following is None:
                return
            found = Found(None, offset, following)
        yield found
        offset = found.end


def headers(data: bytes | mmap, offset: int = 0) -> Iterator[Frame]:
    """Walk over the frames' headers, without bodies and checksums; damage is stepped over."""
    while 0 <= offset <= len(data) - HEADER_BYTES:
        if data[offset : offset + len(MAGIC)] != MAGIC:
            offset = data.find(MAGIC, offset + 1)
            continue
        found, length = _header(data[offset : offset + _HEAD.size])
        offset += HEADER_BYTES + length
        if offset > len(data):
            return  # still being written
        if found is not None:
            yield found


def _header(head: bytes) -> tuple[Frame | None, int]:
    """Read a header: the frame without its body, and the body's length."""
    _, signal, form, encoding, length, *counts, sequence, received_ns = _HEAD.unpack(head)
    plain_bytes, accepted, rejected = counts
    try:
        names = SIGNALS[signal], FORMS[form], ENCODINGS[encoding]
    except IndexError:
        return None, length
    frame = Frame(*names, sequence, received_ns, b"", accepted, rejected, plain_bytes)
    return frame, length


def _at(data: bytes, offset: int) -> Found | None:
    """Return the frame that begins here, if a whole and sound one does."""
    body_at = offset + HEADER_BYTES
    if body_at > len(data) or data[offset : offset + len(MAGIC)] != MAGIC:
        return None
    head = data[offset : offset + _HEAD.size]
    frame, length = _header(head)
    end = body_at + length
    if frame is None or end > len(data):
        return None
    body = data[body_at:end]
    (checksum,) = _SUM.unpack_from(data, offset + _HEAD.size)
    if checksum != _checksum(head, body):
        return None
    return Found(replace(frame, body=body), offset, end)


def _next(data: bytes, offset: int, *, complete: bool) -> int | None:
    """Return where the next sound frame begins; the end of a complete segment if none does."""
    here = data.find(MAGIC, offset)
    while here >= 0:
        if _at(data, here) is not None:
            return here
        here = data.find(MAGIC, here + 1)
    return len(data) if complete else None


def _checksum(head: bytes, body: bytes) -> int:
    state = xxhash.xxh3_64(head)
    state.update(body)
    return state.intdigest()
