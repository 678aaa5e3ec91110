"""vLLM's scheduler with a tier of KV blocks in host memory (`--kv-offloading-size`).

Rules besides those of `vllm_scheduler` and `host_tier` (vLLM 0.32, OffloadingConnector):
- every full block is written to the host when its tokens are scheduled, also those of outputs;
- a waiting sequence looks for the blocks behind those that the GPU has; what the host has is loaded
  instead of computed, and meanwhile the sequence holds its blocks and no place in a step;
- it is admitted for a load only if its blocks fit beside those that prompts in progress still need;
- a sequence whose blocks are being loaded for another one waits, and others pass it;
- sequences whose load has ended come before all others that wait; a prompt that was loaded whole
  computes its last token again;
- the tokens that a preempted sequence has in flight come out, and until then it is not resumed.

Writing to the host is not waited for: a GPU computes KV slower than its link takes it away.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from phasewise_analyzer.engine.block_pool import IntArray
from phasewise_analyzer.engine.host_tier import HostMemory, HostTier
from phasewise_analyzer.engine.scheduler import Scheduled
from phasewise_analyzer.engine.sequence import Sequence
from phasewise_analyzer.engine.step_plan import StepPlan
from phasewise_analyzer.engine.transfers import Transfers
from phasewise_analyzer.engine.vllm_scheduler import SchedulerConfig, VllmScheduler


@dataclass(frozen=True, slots=True)
class OffloadingConfig(SchedulerConfig):
    """Flags of vLLM, and the host memory that they ask for."""

    host: HostMemory = field(kw_only=True)

    def scheduler(self, blocks: int | None) -> "OffloadingScheduler":
        """Make a scheduler with so many KV blocks on the GPU."""
        return OffloadingScheduler(self, self.host, blocks)


@dataclass(slots=True)
class _Offloaded:
    """What the host tier knows of a sequence."""

    offered: int = 0
    """blocks that were offered, or came from there"""
    used: set[int] = field(default_factory=set)
    """places of the blocks that it offered or loaded"""
    loading: list[int] = field(default_factory=list)


class OffloadingScheduler(VllmScheduler):
    """The scheduler with its host tier."""

    def __init__(self, config: SchedulerConfig, host: HostMemory, blocks: int | None) -> None:
        super().__init__(config, blocks)
        self._copies = self.transfers = Transfers(host.link)
        self.loading: list[Sequence] = []
        """sequences that hold blocks and wait for what the host has of them"""
        self._block_bytes = host.block_bytes
        self._host = HostTier(host.blocks)
        self._known: dict[Sequence, _Offloaded] = {}
        self._ended: list[Sequence] = []
        self._refused = False
        """whether a sequence found no room in the last step that was planned"""

    def schedule(self) -> Scheduled | None:
        """Plan the next step; see `Scheduler.schedule`."""
        for sequence in self.loading:
            known = self._known[sequence]
            if known.loading and self._copies.arrived(sequence):
                self._host.loaded(known.loading)
                known.loading = []
        before = self.preemptions
        planned = super().schedule()
        if planned is None and self.preemptions > before:
            planned = super().schedule()  # a step that only preempts takes no time
        if planned is not None:
            in_step = {*planned.reading, *(sequence for sequence, _ in planned.decoding)}
            for sequence in self.running:
                if sequence in in_step:
                    self._offer(sequence, sequence.computed // self.config.block_size)
        for sequence in self._ended:
            known = self._known.pop(sequence)
            self._host.use(self._ids(sequence)[sorted(known.used, reverse=True)].tolist())
        self._ended.clear()
        return planned

    def finish(self, sequence: Sequence) -> None:
        """Take a finished sequence out and free its blocks."""
        if sequence in self.running:
            super().finish(sequence)
        else:
            self.waiting.remove(sequence)  # its last token came out after it was preempted
        self._ended.append(sequence)

    def full(self) -> bool:
        """Tell whether a request that arrives now is looked at only when another has ended."""
        return self._refused or len(self.running) >= self.config.max_num_seqs

    def blocks_in_use(self) -> int:
        """Return the blocks that sequences hold, and those that waiting prompts need."""
        return super().blocks_in_use() + sum(len(sequence.blocks) for sequence in self.loading)

    def advance(self, steps: int) -> None:
        """Plan so many steps at once that decode every running sequence."""
        size = self.config.block_size
        before = [sequence.computed for sequence in self.running]
        super().advance(steps)
        filled = sorted(
            (end - computed, order, end // size)
            for order, computed in enumerate(before)
            for end in range((computed // size + 1) * size, computed + steps + 1, size)
        )
        for _, order, full in filled:
            self._offer(self.running[order], full)

    def _admit(self, plan: StepPlan) -> None:
        """Admit sequences whose load has ended, then waiting ones; start further loads."""
        self._refused = False
        passed: deque[Sequence] = deque()
        for sequence in [one for one in self.loading if not self._known[one].loading]:
            if plan.budget <= 0 or len(self.running) >= self.config.max_num_seqs:
                break
            tokens = self._resume(sequence, plan.budget)
            if not tokens:
                self._refused = True
                break
            self._plan(plan, sequence, tokens, decodes=False)
        while self._may_admit(plan):
            sequence = self.waiting[0]
            if sequence.late:
                passed.append(self.waiting.popleft())
                continue
            hits = self._hits(sequence)
            found = self._in_host(sequence, len(hits))
            if found is None:
                passed.append(self.waiting.popleft())
                continue
            if found:
                self._refused = not self._load(sequence, hits, found)
                continue
            tokens = self._start(sequence, hits, plan.budget)
            self._refused = not tokens
            if tokens:
                self._plan(plan, sequence, tokens, decodes=False)
        self.waiting.extendleft(reversed(passed))

    def _preempt(self, sequence: Sequence) -> None:
        """Free a sequence's blocks; tokens of steps in flight will come out."""
        sequence.late = sequence.scheduled_out - sequence.emitted
        super()._preempt(sequence)

    def _may_admit(self, plan: StepPlan) -> bool:
        return (
            bool(self.waiting)
            and plan.budget > 0
            and not self._refused
            and len(self.running) < self.config.max_num_seqs
        )

    def _in_host(self, sequence: Sequence, held: int) -> list[int] | None:
        """Return the blocks to load, behind those on the GPU; None where it has to wait."""
        if not self.config.enable_prefix_caching:
            return []
        full = sequence.total // self.config.block_size
        found = self._host.hits(self._ids(sequence)[held:full].tolist())
        return None if self._host.is_loading(found) else found

    def _load(self, sequence: Sequence, hits: IntArray, found: list[int]) -> bool:
        """Give a sequence its blocks and start the load; tell whether there was room."""
        size = self.config.block_size
        unused = self.pool.unused(hits)
        whole = -(-sequence.total // size) - len(hits) + unused
        if not self.pool.room(max(whole, len(found) + unused + self._reserved())):
            return False
        self.waiting.popleft()
        self.pool.hold(hits)
        sequence.blocks = np.concatenate((hits, self.pool.take(len(found))))
        held = len(sequence.blocks)
        sequence.computed, sequence.named = held * size, len(hits)
        if not sequence.served.preemptions:
            sequence.served.cached_tokens = sequence.computed
            sequence.served.host_cached_tokens = len(found) * size
        known = self._known.setdefault(sequence, _Offloaded())
        known.loading = found
        known.offered = held
        known.used.update(range(len(hits), held))
        self._host.load(found)
        self._copies.ask(sequence, len(found) * self._block_bytes)
        self.loading.append(sequence)
        return True

    def _reserved(self) -> int:
        """Return the blocks that prompts in progress, and loads, still need."""
        size = self.config.block_size
        reading = [one for one in self.running if one.scheduled_out == one.emitted]
        return sum(
            max(0, -(-one.total // size) - len(one.blocks)) for one in [*reading, *self.loading]
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
        self.loading.remove(sequence)
        self.running.append(sequence)
        return tokens

    def _offer(self, sequence: Sequence, full: int) -> None:
        """Offer the blocks up to a place that were not kept yet."""
        known = self._known.setdefault(sequence, _Offloaded())
        if full <= known.offered:
            return
        blocks = range(known.offered, full)
        known.used.update(blocks)
        if self._host.offer(self._ids(sequence)[known.offered : full].tolist()):
            known.offered = full
