"""A request inside the scheduler: how far it is, and the KV blocks it holds."""

from dataclasses import dataclass, field

from phasewise_analyzer.engine.caches.block_pool import NO_BLOCKS, IntArray
from phasewise_analyzer.engine.schedulers.request import Request, Served


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
    ids: IntArray | None = None
    """numbers of its full blocks' hashes, output included, in the block pool of its engine"""
    blocks: IntArray = field(default_factory=lambda: NO_BLOCKS)
    named: int = 0
    """full blocks that are in the cache's index"""
    draft: int = 0
    """draft tokens that its next decode step verifies"""
    emitting: int = 1
    """output tokens that its step in flight generates"""
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
    def quiet_steps(self) -> int:
        """Steps that can follow the planned ones before one generates its last token or a draft."""
        end = self.request.output_tokens
        if self.request.drafts is not None:
            end = self.request.drafts.next_draft(self.emitted)
        return end - self.scheduled_out

    @property
    def complete(self) -> bool:
        """Whether the steps in flight generate its last token."""
        return self.scheduled_out >= self.request.output_tokens
