"""What `flame` tells the floors above: frames under frames, with their widths in three measures."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from phasewise_analyzer.flame.places import Place, Start

Measure = Literal["sent", "missed", "usd"]
"""what width means: tokens sent, tokens missed, dollars that these cost above a cache read"""


@dataclass(frozen=True, slots=True)
class Width:
    """How wide something is in each measure; exact sums over calls."""

    sent_tokens: int
    cached_tokens: int
    """of these, read from a cache"""
    missed_tokens: int
    """of these, sent before by an earlier call to the same model, and by report not read"""
    unreported_tokens: int
    """of these, sent before in calls whose source does not report its cache"""
    missed_usd: Decimal | None
    """what they cost above a cache read; None where no call has a known price"""

    def of(self, measure: Measure) -> Decimal:
        """Return the width in one measure."""
        return {
            "sent": Decimal(self.sent_tokens),
            "missed": Decimal(self.missed_tokens),
            "usd": self.missed_usd or Decimal(0),
        }[measure]


@dataclass(frozen=True, slots=True)
class Frame:
    """A stretch of prompts without a branch, or some narrow ones in one."""

    kind: Literal["all", "stretch", "others"]
    address: str
    """names the frame in a page's address: a call that passes, and the tokens before the frame in
    it; empty for `all`. `others` have the address of the frame above them"""
    parent: int
    """place of the frame above it among the frames that are shown, -1 for the topmost"""
    level: int
    """frames between it and the topmost"""
    branches: int
    """1; of `others`, how many were merged"""
    first: Place | None
    """where it begins; None where it is no single stretch"""
    last: Place | None
    tokens: int
    """length of the stretch: estimated in text, whole blocks in traces of block hashes"""
    calls: int
    """that enter it; some may end in it"""
    sessions: int | None
    """None of `others`: they may share some"""
    agents: tuple[str, ...]
    """the roles with the most of these calls"""
    agents_left_out: int
    own: Width
    """what lies in the stretch itself"""
    below: Width
    """own and all that follows: how wide the frame is"""
    start: Start | None
    """the text where it parts from its siblings; None where only hashes are known"""
    hidden: int
    """branches that follow it and are not shown"""


@dataclass(frozen=True, slots=True)
class Flame:
    """What one picture shows."""

    measure: Measure
    frames: tuple[Frame, ...]
    """the topmost first, parents before children; siblings the widest first, `others` last"""
    above: tuple[Frame, ...]
    """the way from all prompts to the topmost frame, which is not among them"""
    widest: tuple[Frame, ...]
    """the stretches below the topmost one that are widest in themselves"""
    all_frames: int
    """in the whole tree"""
    calls: int
    """in scope"""
    unknown_calls: int
    """calls whose prompt is not known: their tokens are own to `all`"""
    cache_unknown_calls: int
    """calls whose source does not report its cache"""
    unpriced_calls: int
