"""What a cache of any lifetime would have served, in one pass.

A part of a prompt is served when the call that touched it last began no longer ago than the
lifetime: a read refreshes, and the clock runs from the start of a request, as Anthropic's does.
Every stretch that the LRU curve knows has that gap, so its histogram is the whole curve.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phasewise_analyzer.prefixes.hit_rates import Tokens
from phasewise_analyzer.prefixes.lru import Stretches

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LADDER_S = (60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600)
"""lifetimes that providers offer, and those between"""
FOREVER_S = float("inf")


@dataclass(frozen=True, slots=True)
class TtlRow:
    """What a cache of this lifetime would have served."""

    ttl_s: float
    hit_blocks: int
    token_weighted: float
    """of the prompt tokens of calls with a known start"""


@dataclass(frozen=True, slots=True)
class TtlCurve:
    """Hits against lifetime, for every lifetime."""

    gap_s: Floats
    """[stretches] sorted"""
    blocks: Ints
    """[stretches] blocks up to here"""
    tokens: Floats
    """[stretches] tokens up to here"""
    total_tokens: int

    def row(self, ttl_s: float) -> TtlRow:
        """Read the curve at one lifetime."""
        place = int(np.searchsorted(self.gap_s, ttl_s, side="right"))
        blocks = int(self.blocks[place - 1]) if place else 0
        tokens = float(self.tokens[place - 1]) if place else 0.0
        share = min(tokens / self.total_tokens, 1.0) if self.total_tokens else 0.0
        return TtlRow(ttl_s, blocks, share)


def curve(
    found: Stretches, whole: Tokens, block_tokens: Ints, started_ns: Sequence[int | None]
) -> TtlCurve | None:
    """Return the curve over the calls whose start is known; None where none is."""
    start = np.array([-1 if one is None else one for one in started_ns], dtype=np.int64)
    timed = start >= 0
    if not timed.any():
        return None
    both = timed[found.call] & timed[found.before]
    call, before = found.call[both], found.before[both]
    length = (found.to_block - found.from_block)[both]
    gap_s = np.maximum(start[call] - start[before], 0) / 1e9
    hashed = block_tokens > 0
    full = np.where(hashed, block_tokens, whole.tokens / np.maximum(whole.blocks, 1e-9))
    # a prompt never shares more than it has: the last block of a hashed one may be partial
    tokens = np.minimum(length * full[call], whole.tokens[call])
    order = np.argsort(gap_s, kind="stable")
    return TtlCurve(
        gap_s[order],
        np.cumsum(length[order]),
        np.cumsum(tokens[order]),
        int(whole.tokens[timed].sum()),
    )
