"""Make segments: content-addressed, so that a text sent a thousand times is stored once.

The importers and the dialects build prompts with these; nothing else computes a digest.
"""

import xxhash

from phasewise_store.facts import Segment, SegmentKind
from phasewise_store.tokens import estimate

MOST_COUNTED = 200_000
"""counts that are remembered; about twenty megabytes"""
RAW_CUT_BYTES = 512
"""a raw prompt is cut at the first line end after this many bytes"""


def _digest(kind: str, role: str | None, content: bytes) -> bytes:
    head = f"{kind}\x1f{role or ''}\x1f".encode()
    return xxhash.xxh3_128_digest(head + content)


def text_segment(kind: SegmentKind, content: str, role: str | None = None) -> Segment:
    """Make the segment of one tool definition, system block or message part."""
    raw = content.encode("utf-8", "surrogatepass")
    digest = _digest(kind, role, raw)
    return Segment(kind, digest, _tokens(digest, content), role, raw)


_counted: dict[bytes, int] = {}
"""tokens by digest: histories repeat, and counting is the dearest part of making a segment"""


def _tokens(digest: bytes, content: str) -> int:
    known = _counted.get(digest)
    if known is None:
        if len(_counted) >= MOST_COUNTED:
            _counted.clear()
        known = _counted[digest] = estimate(content)
    return known


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
