"""Read the log: complete frames from where the loader stopped."""

import contextlib
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from phasewise_collector.log.frame import Found, Frame, headers, scan
from phasewise_collector.log.writer import SUFFIX

CHUNK_BYTES = 16 << 20
"""of the file, read at once"""
PLAIN_BYTES = 16 << 20
"""of requests without compression: what a chunk becomes in memory is several times that"""
ITEM_BYTES = 5_000
"""what a span, record or point counts for beside its bytes: small ones become many times those"""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a segment was read."""

    offset_bytes: int = 0
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was read of one segment at once."""

    segment: str
    frames: tuple[Frame, ...]
    end: Position
    damaged_bytes: int
    """bytes between the frames that are no frame"""


def segments(folder: Path) -> list[str]:
    """Return the names of the segments, oldest first; the acceptor may be writing to the last."""
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.suffix == SUFFIX)


def read(
    folder: Path, positions: Mapping[str, Position], *, chunk_bytes: int = CHUNK_BYTES
) -> Chunk | None:
    """Read on in the oldest segment that has something new; None when there is nothing new."""
    # a segment that has a successor in this list, taken before it is read, grows no more
    names = segments(folder)
    for place, name in enumerate(names):
        position = positions.get(name, Position())
        if position.finished:
            continue
        complete = place + 1 < len(names)
        chunk = _read_segment(folder / name, position, chunk_bytes, complete=complete)
        if chunk is not None:
            return chunk
    return None


def waiting_bytes(folder: Path, positions: Mapping[str, Position]) -> int:
    """Return how much of the log is not loaded yet."""
    waiting = 0
    for name in segments(folder):
        position = positions.get(name, Position())
        with contextlib.suppress(FileNotFoundError):  # loaded and deleted meanwhile
            size = 0 if position.finished else (folder / name).stat().st_size
            waiting += max(0, size - position.offset_bytes)
    return waiting


def waiting_items(folder: Path, positions: Mapping[str, Position]) -> dict[str, int]:
    """Return how many acknowledged items are not loaded yet, by signal; rejected ones included.

    Only the frames' headers are read.
    """
    waiting: dict[str, int] = {}
    for name in segments(folder):
        position = positions.get(name, Position())
        if position.finished:
            continue
        with contextlib.suppress(FileNotFoundError), (folder / name).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if position.offset_bytes >= size:
                continue
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
                for frame in headers(data, position.offset_bytes):
                    counted = frame.accepted + frame.rejected
                    waiting[frame.signal] = waiting.get(frame.signal, 0) + counted
    return waiting


def _enough(frames: Iterator[Found]) -> tuple[list[Found], bool]:
    """Take frames until they are enough for one chunk; say whether some were left."""
    taken: list[Found] = []
    plain = 0
    for found in frames:
        if plain >= PLAIN_BYTES:
            return taken, True
        taken.append(found)
        if found.frame is not None:
            plain += found.frame.plain_bytes + ITEM_BYTES * found.frame.accepted
    return taken, False


def _read_segment(
    path: Path, position: Position, chunk_bytes: int, *, complete: bool
) -> Chunk | None:
    """Read about a chunk, more where one frame is larger; None when nothing new is whole yet."""
    size = path.stat().st_size
    while True:
        rest = max(0, size - position.offset_bytes)
        at_end = rest <= chunk_bytes
        with path.open("rb") as file:
            file.seek(position.offset_bytes)
            data = file.read(min(rest, chunk_bytes))
        found, stopped = _enough(scan(data, complete=complete and at_end))
        if found or at_end:
            break
        chunk_bytes *= 2
    read_to = position.offset_bytes + (found[-1].end if found else 0)
    finished = complete and at_end and not stopped
    if not found and not finished:
        return None
    return Chunk(
        segment=path.name,
        frames=tuple(one.frame for one in found if one.frame is not None),
        end=Position(read_to, finished),
        damaged_bytes=sum(one.end - one.start for one in found if one.frame is None),
    )
