"""vLLM's scheduler where KV blocks can come from elsewhere: host memory, or another engine.

Rules besides those of `vllm_scheduler` (vLLM 0.32, KV connectors that load asynchronously):
- a waiting sequence looks elsewhere for the blocks behind those that the GPU has; what is there is
  loaded instead of computed, and meanwhile the sequence holds its blocks and no place in a step;
- it is admitted for a load only if its blocks fit beside those that prompts in progress still need;
- a sequence that cannot tell yet what it may load waits, and others pass it;
- sequences whose load has ended come before all others that wait; a prompt that was loaded whole
  computes its last token again;
- the tokens that a preempted sequence has in flight come out, and until then it is not resumed.
"""

from abc import ABC, abstractmethod
from collections import deque

import numpy as np

from phasewise_analyzer.engine.caches.block_pool import IntArray
from phasewise_analyzer.engine.schedulers.scheduler import Scheduled
from phasewise_analyzer.engine.schedulers.sequence import Sequence
from phasewise_analyzer.engine.schedulers.step_plan import StepPlan
from phasewise_analyzer.engine.schedulers.transfers import Link, Transfers
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig, VllmScheduler


class LoadingScheduler(VllmScheduler, ABC):
    """The scheduler with sequences that wait for their blocks."""

    def __init__(
        self, config: SchedulerConfig, blocks: int | None, *, link: Link, block_bytes: float
    ) -> None:
        super().__init__(config, blocks)
        self._copies = self.transfers = Transfers(link)
        self._block_bytes = block_bytes
        self._loading: dict[Sequence, bool] = {}
        """sequences that hold blocks and wait, and whether their load has ended"""
        self._refused = False
        """whether a sequence found no room in the last step that was planned"""

    @abstractmethod
    def _elsewhere(self, sequence: Sequence, held: int) -> int | None:
        """Return how many blocks to load behind those held; None where it has to wait."""

    @abstractmethod
    def _begun(self, sequence: Sequence, held: int, count: int) -> None:
        """Learn that so many blocks are loaded behind those held."""

    @abstractmethod
    def _came(self, sequence: Sequence) -> None:
        """Learn that a load has ended."""

    def schedule(self) -> Scheduled | None:
        """Plan the next step; see `Scheduler.schedule`."""
        for sequence, ended in self._loading.items():
            if not ended and self._copies.arrived(sequence):
                self._loading[sequence] = True
                self._came(sequence)
        before = self.preemptions
        planned = super().schedule()
        if planned is None and self.preemptions > before:
            planned = super().schedule()  # a step that only preempts takes no time
        return planned

    def finish(self, sequence: Sequence) -> None:
        """Take a finished sequence out and free its blocks."""
        if sequence in self.running:
            super().finish(sequence)
        else:
            self.waiting.remove(sequence)  # its last token came out after it was preempted

    def full(self) -> bool:
        """Tell whether a request that arrives now is looked at only when another has ended."""
        return self._refused or len(self.running) >= self.config.max_num_seqs

    def blocks_in_use(self) -> int:
        """Return the blocks that sequences hold, and those that waiting prompts need."""
        return super().blocks_in_use() + sum(len(sequence.blocks) for sequence in self._loading)

    def _admit(self, plan: StepPlan) -> None:
        """Admit sequences whose load has ended, then waiting ones; start further loads."""
        self._refused = False
        passed: deque[Sequence] = deque()
        for sequence in [one for one, ended in self._loading.items() if ended]:
            if plan.budget <= 0 or len(self.running) >= self.config.max_num_seqs:
                break
            self._go_on(plan, sequence, self._resume(sequence, plan.budget))
            if self._refused:
                break
        while self._may_admit(plan):
            sequence = self.waiting[0]
            hits = self._hits(sequence)
            count = None if sequence.late else self._elsewhere(sequence, len(hits))
            if count is None:
                passed.append(self.waiting.popleft())
            elif count:
                self._refused = not self._load(sequence, hits, count)
            else:
                self._go_on(plan, sequence, self._start(sequence, hits, plan.budget))
        self.waiting.extendleft(reversed(passed))

    def _may_admit(self, plan: StepPlan) -> bool:
        return (
            bool(self.waiting)
            and plan.budget > 0
            and not self._refused
            and len(self.running) < self.config.max_num_seqs
        )

    def _go_on(self, plan: StepPlan, sequence: Sequence, tokens: int) -> None:
        """Let a step compute so many tokens of a sequence; none means that there was no room."""
        self._refused = not tokens
        if tokens:
            self._plan(plan, sequence, tokens, decodes=False)

    def _load(self, sequence: Sequence, hits: IntArray, count: int) -> bool:
        """Give a sequence its blocks and start the load; tell whether there was room."""
        size = self.config.block_size
        unused = self.pool.unused(hits)
        whole = -(-sequence.total // size) - len(hits) + unused
        if not self.pool.room(max(whole, count + unused + self._reserved())):
            return False
        self.waiting.popleft()
        self.pool.hold(hits)
        sequence.blocks = np.concatenate((hits, self.pool.take(count)))
        sequence.computed = min(len(sequence.blocks) * size, sequence.total)
        sequence.named = len(hits)
        self._begun(sequence, len(hits), count)
        self._copies.ask(sequence, count * self._block_bytes)
        self._loading[sequence] = False
        return True

    def _reserved(self) -> int:
        """Return the blocks that prompts in progress, and loads, still need."""
        size = self.config.block_size
        reading = [one for one in self.running if one.scheduled_out == one.emitted]
        return sum(
            max(0, -(-one.total // size) - len(one.blocks)) for one in [*reading, *self._loading]
        )

    def _resume(self, sequence: Sequence, budget: int) -> int:
        """Admit a sequence whose load has ended; give its tokens, 0 where there is no room."""
        size = self.config.block_size
        self._name_full(sequence)
        sequence.computed = min(sequence.computed, sequence.total - 1)
        if not self.pool.room(-(-sequence.total // size) - len(sequence.blocks)):
            return 0
        tokens = min(sequence.total - sequence.computed, budget)
        missing = -(-(sequence.computed + tokens) // size) - len(sequence.blocks)
        sequence.blocks = np.append(sequence.blocks, self.pool.take(max(0, missing)))
        self._copies.forget(sequence)
        del self._loading[sequence]
        self.running.append(sequence)
        return tokens

    def _preempt(self, sequence: Sequence) -> None:
        """Free a sequence's blocks; tokens of steps in flight will come out."""
        sequence.late = sequence.scheduled_out - sequence.emitted
        super()._preempt(sequence)
