"""A request inside the scheduler: how far it is, and the KV blocks it holds."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from phasewise_analyzer.engine.request import Request, Served


@dataclass(slots=True, eq=False)
class Sequence:
    """One request that waits or runs."""

    index: int
    request: Request
    served: Served
    total: int = 0
    """tokens of the prompt and of the output, those of steps in flight included"""
    computed: int = 0
    """tokens whose KV is computed once the steps in flight have ended"""
    emitted: int = 0
    """output tokens of steps that have ended"""
    blocks: list[int] = field(default_factory=list)
    named: int = 0
    """full blocks that are in the cache's index"""
    epoch: int = 0
    """grows with every preemption, so that steps in flight are recognised as stale"""
    late: int = 0
    """tokens of steps in flight that come out although it was preempted"""

    @property
    def scheduled_out(self) -> int:
        """Output tokens, those of steps in flight included."""
        return self.total - self.request.input_tokens

    @property
    def decoding(self) -> bool:
        """Whether one token is left to compute."""
        return self.total - self.computed == 1

    @property
    def complete(self) -> bool:
        """Whether the steps in flight generate its last token."""
        return self.scheduled_out >= self.request.output_tokens

    def digest(self, block: int) -> Hashable:
        """Return the id of a full block; past the prompt it is nobody else's."""
        digests = self.request.digests
        return digests[block] if block < len(digests) else ("own", self.index, block)

    def digests(self, blocks: int) -> list[Hashable]:
        """Return the ids of the first full blocks."""
        known = self.request.digests[:blocks]
        return [*known, *(self.digest(block) for block in range(len(known), blocks))]
