"""Make segments: content-addressed, so that a text sent a thousand times is stored once.

The importers and the dialects build prompts with these; nothing else computes a digest.
"""

from functools import cache

import xxhash

from phasewise_store.facts import Segment, SegmentKind
from phasewise_store.tokens import estimate

MOST_REMEMBERED_BYTES = 24 << 20
"""text of segments that are made once and then given again: histories repeat themselves"""
RAW_CUT_BYTES = 512
"""a raw prompt is cut at the first line end after this many bytes"""


def text_segment(kind: SegmentKind, content: str, role: str | None = None) -> Segment:
    """Make the segment of one tool definition, system block or message part."""
    return encoded_segment(kind, content.encode("utf-8", "surrogatepass"), role)


def encoded_segment(kind: SegmentKind, raw: bytes, role: str | None = None) -> Segment:
    """Make the segment of a text that is UTF-8 already; the same text gives the same object."""
    digest = xxhash.xxh3_128_digest(_head(kind, role) + raw)
    known = _made.get(digest)
    if known is not None:
        return known
    tokens = estimate(raw.decode("utf-8", "surrogatepass"))
    # a copy: what a JSON writer gives may hold several times the memory of its bytes
    return _remember(Segment(kind, digest, tokens, role, bytes(memoryview(raw))))


@cache
def _head(kind: str, role: str | None) -> bytes:
    return f"{kind}\x1f{role or ''}\x1f".encode()


_made: dict[bytes, Segment] = {}
_made_bytes = 0


def _remember(segment: Segment) -> Segment:
    """Keep a segment; where that is too much, forget all: what is in use comes back at once."""
    global _made_bytes  # noqa: PLW0603  # one memory a process, like the dictionary
    _made_bytes += len(segment.content or b"")
    if _made_bytes > MOST_REMEMBERED_BYTES:
        _made.clear()
        _made_bytes = len(segment.content or b"")
    return _made.setdefault(segment.digest, segment)


def raw_segments(prompt: str) -> tuple[Segment, ...]:
    """Cut a prompt that is one string into segments at line ends.

    Two prompts that share a prefix share its cuts, since a cut depends on nothing behind it.
    """
    cuts: list[Segment] = []
    start = 0
    while start < len(prompt):
        end = prompt.find("\n", start + RAW_CUT_BYTES)
        end = len(prompt) if end < 0 else end + 1
        cuts.append(text_segment("text", prompt[start:end]))
        start = end
    return tuple(cuts)


def block_segment(scope: bytes, block_id: int, tokens: int) -> Segment:
    """Make the segment of a block that is known by its hash id only.

    `scope` keeps ids of different files apart where a format says they are local to the file.
    """
    digest = xxhash.xxh3_128_digest(scope + b"\x1f" + block_id.to_bytes(8, "little", signed=True))
    return Segment("block", digest, tokens)
