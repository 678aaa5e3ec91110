"""Cut a text where its own content says so, so that an insertion shifts nothing.

A rolling hash of the last sixteen bytes decides whether the text is cut behind them. What follows
an insertion is cut at the same places as before, so equal stretches give equal chunks wherever they
stand; only the chunks that an edit touches are new. `repeats` counts with them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash
from phasewise_store import reads
from phasewise_store.store import Store

Ints = npt.NDArray[np.int64]

WINDOW_BYTES = 16
MEAN_BYTES = 64
"""about a block of sixteen tokens"""
_AT_ONCE = 4096
"""segments whose text is in memory at a time"""

_CODE = np.random.default_rng(0).integers(0, 2**64, 256, dtype=np.uint64)
"""a random number for each byte, the same in every process"""


def cut(text: bytes, mean_bytes: int = MEAN_BYTES) -> Ints:
    """Return the ends of a text's chunks, including its own; `mean_bytes` is a power of two."""
    rolling = _CODE[np.frombuffer(text, dtype=np.uint8)]
    reach = 1
    while reach < WINDOW_BYTES:
        # a hash of twice the reach: the older half moves up by as many bits as it has bytes
        rolling[reach:] += rolling[:-reach] << np.uint64(reach)
        reach *= 2
    top = np.uint64(64 - (mean_bytes.bit_length() - 1))
    ends = np.flatnonzero((rolling >> top) == 0) + 1
    inside = ends[(ends >= WINDOW_BYTES) & (ends < len(text))]
    return np.append(inside, len(text)) if text else inside


def fingerprints(text: bytes, mean_bytes: int = MEAN_BYTES) -> tuple[npt.NDArray[np.uint64], Ints]:
    """Return a hash of each chunk's content, and its bytes."""
    ends = cut(text, mean_bytes)
    starts = np.append(0, ends[:-1])[: len(ends)]
    view = memoryview(text)
    hashes = [
        xxhash.xxh3_64_intdigest(view[start:end])
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    return np.array(hashes, dtype=np.uint64), ends - starts


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks of some segments, one after another."""

    start: Ints
    """[segments + 1] where each segment's chunks begin"""
    number: Ints
    """[chunks] equal for equal content"""
    size: Ints
    """[chunks] bytes; 1 for a segment whose text is not known: it is one chunk"""
    distinct: int
    """numbers that are in use"""
    text_bytes: Ints
    """[segments] 0 where no text is known"""

    def spread(self, segments: Ints) -> tuple[Ints, Ints]:
        """Return the chunks of these segments, each with the index of its segment."""
        length = self.start[segments + 1] - self.start[segments]
        before = np.cumsum(length) - length
        inside = np.arange(int(length.sum())) - np.repeat(before, length)
        return np.repeat(self.start[segments], length) + inside, np.repeat(
            np.arange(len(segments)), length
        )


def of_segments(store: Store, ids: npt.NDArray[np.uint64], mean_bytes: int = MEAN_BYTES) -> Chunks:
    """Cut each of these segments once, in their order."""
    hashes: list[npt.NDArray[np.uint64]] = [np.zeros(0, dtype=np.uint64)]
    sizes: list[Ints] = [np.zeros(0, dtype=np.int64)]
    text_bytes: list[int] = []
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE].tolist()
        found = reads.segments(store, some)
        for one in some:
            content = found[one].content or b""
            text_bytes.append(len(content))
            alone = np.array([one], dtype=np.uint64), np.ones(1, dtype=np.int64)
            fingerprint, size = fingerprints(content, mean_bytes) if content else alone
            hashes.append(fingerprint)
            sizes.append(size)
    distinct, number = np.unique(np.concatenate(hashes), return_inverse=True)
    return Chunks(
        np.cumsum([0, *map(len, sizes[1:])]),
        number.astype(np.int64),
        np.concatenate(sizes),
        len(distinct),
        np.array(text_bytes, dtype=np.int64),
    )
