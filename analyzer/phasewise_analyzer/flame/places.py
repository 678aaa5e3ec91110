"""Where in a prompt a frame lies, and the text with which it parts from its siblings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from phasewise_store import reads
from phasewise_store.facts import Segment, SegmentKind
from phasewise_store.store import Store
from phasewise_store.trie import shared_length

from phasewise_analyzer.prefixes.placed_tree import PlacedTree

Tier = Literal["tools", "system", "messages", "text", "blocks"]

_TIERS: Mapping[SegmentKind, Tier] = {
    "tool": "tools",
    "system": "system",
    "message": "messages",
    "text": "text",
    "block": "blocks",
}
_TEXT_SEGMENTS = "SELECT segment_id FROM segments WHERE kind <> 'block'"

SHOWN_CHARACTERS = 80
"""of the text behind the place where siblings part"""
SHARED_CHARACTERS = 24
"""of the text before it"""


@dataclass(frozen=True, slots=True)
class Place:
    """One segment of a prompt."""

    tier: Tier
    role: str | None
    index: int
    """segments (or blocks) before it in the prompt"""


@dataclass(frozen=True, slots=True)
class Start:
    """What stands where a frame begins."""

    shared: str
    """the end of what its siblings have in the same segment; empty at the segment's start"""
    text: str
    """what follows"""


def segments(store: Store, placed: PlacedTree, nodes: Iterable[int]) -> dict[int, Segment]:
    """Read the segments of these nodes, by node."""
    ids = {node: int(placed.segment[node]) for node in nodes}
    found = reads.segments(store, ids.values())
    return {node: found[number] for node, number in ids.items()}


def place(placed: PlacedTree, node: int, segment: Segment) -> Place:
    """Return the place of a node."""
    return Place(_TIERS[segment.kind], segment.role, int(placed.index[node]))


def start(
    segment: Segment, siblings: Sequence[Segment], following: Sequence[Segment]
) -> Start | None:
    """Return the text where a segment parts from its siblings; None where only a hash is known.

    `siblings` need not be all: the text begins where the first of these parts. `following` are two
    segments that part in turn inside this one: the text ends there.
    """
    if segment.content is None:
        return None
    own = _text(segment)
    at = min((_shared(segment, one) for one in siblings), default=0)
    end = shared_length(*map(_text, following)) if following else len(own)
    shown = own[at : min(end, at + SHOWN_CHARACTERS)]
    return Start(own[max(0, at - SHARED_CHARACTERS) : at], shown)


def _shared(one: Segment, other: Segment) -> int:
    """Count the characters two segments begin with alike; texts of another role share nothing."""
    alike = (one.kind, one.role) == (other.kind, other.role)
    return shared_length(_text(one), _text(other)) if alike else 0


def _text(segment: Segment) -> str:
    return (segment.content or b"").decode("utf-8", "replace")
