"""Prompts of which only hashes left the program: our tracer's `capture="hash"`.

Each part of a prompt is a line `kind role digest bytes tokens`; the digest is a keyed hash that the
program alone can make, so equal parts have equal lines and nothing can be guessed from them.
"""

from collections.abc import Iterator
from typing import Literal, get_args

from phasewise_store.facts import Segment, SegmentKind

PROMPT = "phasewise.prompt.hashes"
ANSWER = "phasewise.answer.hashes"
NO_ROLE = "-"
Field = Literal["kind", "role", "digest", "bytes", "tokens"]
_FIELDS = len(get_args(Field))
_DIGEST_BYTES = 16


def segments(written: str) -> Iterator[Segment]:
    """Return the parts, without content; lines of another form are left out."""
    for line in written.splitlines():
        fields = line.split(" ")
        if len(fields) != _FIELDS or fields[0] not in get_args(SegmentKind):
            continue
        kind, role, digest, _, tokens = fields
        try:
            raw = bytes.fromhex(digest)
        except ValueError:
            continue
        if len(raw) == _DIGEST_BYTES and tokens.isdecimal():
            named: SegmentKind = kind  # type: ignore[assignment]  # checked above
            yield Segment(named, raw, int(tokens), None if role == NO_ROLE else role)
