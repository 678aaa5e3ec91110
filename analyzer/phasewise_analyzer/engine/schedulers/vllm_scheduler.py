"""vLLM V1's scheduler: which tokens of which sequences the next step computes.

Rules (vLLM 0.19 to 0.32, v1/core/sched/scheduler.py), first come, first served:
- running sequences come first, each with all its tokens up to the budget (chunked prefill);
- a sequence without a free block preempts the one that was admitted last, which loses its blocks
  and waits at the front of the queue; a step that preempts admits nobody;
- a waiting sequence is admitted while the budget and `max_num_seqs` allow, if its whole prompt
  fits in the free blocks; it skips its cached blocks, but computes at least one token;
- full blocks can be hit from the moment they are scheduled; draft tokens are in none of them;
- a sequence that decodes verifies its drafts in the same step, as far as the budget goes.  What is
  rejected leaves blocks behind, which the next tokens fill.  Drafts need the last step's tokens, so
  there is no asynchronous scheduling beside them.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from phasewise_analyzer.engine.caches.block_pool import NO_BLOCKS, BlockPool, IntArray
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.scheduler import Scheduled
from phasewise_analyzer.engine.schedulers.sequence import Sequence
from phasewise_analyzer.engine.schedulers.step_plan import StepPlan
from phasewise_analyzer.engine.schedulers.transfers import Transfers


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """Flags of vLLM that the scheduler depends on, under their names."""

    max_num_batched_tokens: int = 8192
    max_num_seqs: int = 256
    block_size: int = 16
    enable_prefix_caching: bool = True
    async_scheduling: bool = True
    """the next step is scheduled while the last one runs"""

    @property
    def engine(self) -> str:
        """Name the engine."""
        return "vLLM"

    @property
    def step_tokens(self) -> int:
        """Return the most prompt tokens of one step."""
        return self.max_num_batched_tokens

    @property
    def prefix_caching(self) -> bool:
        """Tell whether prefixes are cached."""
        return self.enable_prefix_caching

    @property
    def planned_steps(self) -> int:
        """Return how many steps are planned at once."""
        return 2 if self.async_scheduling else 1

    @property
    def late_tokens(self) -> bool:
        """Tell that tokens come out when their step ends."""
        return False

    def scheduler(self, blocks: int | None) -> "VllmScheduler":
        """Make a scheduler with so many KV blocks."""
        return VllmScheduler(self, blocks)

    def most_tokens(self, blocks: int) -> int:
        """Return the prompt and output tokens that fit in so many KV blocks."""
        return blocks * self.block_size

    def blocks_needed(self, request: Request) -> int:
        """Return the blocks of a request; the last generated token is never read."""
        tokens = request.input_tokens + request.output_tokens - 1
        if request.drafts is not None:
            tokens += request.drafts.most
        return -(-tokens // self.block_size)


class VllmScheduler:
    """The queue, the running sequences and their blocks."""

    def __init__(self, config: SchedulerConfig, blocks: int | None) -> None:
        self.config = config
        self.pool = BlockPool(blocks)
        self.transfers: Transfers | None = None
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.preemptions = 0

    def schedule(self) -> Scheduled | None:
        """Plan the next step; None where there is nothing to compute."""
        plan = StepPlan(self.config.max_num_batched_tokens)
        preempted = self._plan_running(plan)
        if not preempted:
            self._admit(plan)
        return plan.scheduled(steady=not preempted)

    def emitted(self, sequence: Sequence) -> None:
        """Draft for the next step; full blocks were cached when they were scheduled."""
        sequence.emitting = 1
        if sequence.request.drafts is not None:
            assert not self.config.async_scheduling, "drafts need the tokens of the last step"
            sequence.draft = int(sequence.request.drafts.drafted[sequence.emitted])

    def _verify(self, sequence: Sequence, drafted: int) -> tuple[int, int]:
        """Let a sequence go on by its accepted draft tokens; return drafted and accepted ones."""
        assert sequence.request.drafts is not None, "it has a draft"
        accepted = min(drafted, int(sequence.request.drafts.accepted[sequence.emitted]))
        sequence.emitting = min(accepted + 1, sequence.request.output_tokens - sequence.emitted)
        sequence.total += sequence.emitting - 1
        sequence.computed = sequence.total - 1
        sequence.served.drafted_tokens += drafted
        sequence.served.accepted_tokens += accepted
        return drafted, accepted

    def finish(self, sequence: Sequence) -> None:
        """Take a finished sequence out and free its blocks."""
        self.running.remove(sequence)
        self.pool.release(sequence.blocks)

    def cached_blocks(self, sequence: Sequence) -> int:
        """Return how many full blocks of a prompt that is not submitted yet are cached."""
        if not self.config.enable_prefix_caching:
            return 0
        known = sequence.request.digests[: (sequence.total - 1) // self.config.block_size]
        return len(self.pool.hits(self.pool.ids(known)))

    def full(self) -> bool:
        """Tell whether a request that arrives now waits until another has ended.

        Steps that decode only were planned, so whoever waits has been refused.
        """
        return bool(self.waiting) or len(self.running) >= self.config.max_num_seqs

    def blocks_in_use(self) -> int:
        """Return the blocks that running sequences hold, and those that waiting prompts need."""
        size = self.config.block_size
        held = sum(len(sequence.blocks) for sequence in self.running)
        return held + sum(-(-sequence.total // size) for sequence in self.waiting)

    def advance(self, steps: int) -> None:
        """Plan so many steps at once that decode every running sequence."""
        size = self.config.block_size
        for sequence in self.running:
            sequence.computed += steps
            sequence.total += steps
            missing = -(-sequence.computed // size) - len(sequence.blocks)
            if missing > 0:
                sequence.blocks = np.append(sequence.blocks, self.pool.take(missing))
            self._name_full(sequence)

    def steps_with_room(self, most: int) -> int:
        """Return for how many steps, at most, every running sequence finds its blocks."""
        free = self.pool.free
        if free is None or self._blocks_after(most) <= free:
            return most
        low, high = 0, most
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._blocks_after(middle) <= free else (low, middle)
        return low

    def _blocks_after(self, steps: int) -> int:
        """Return how many blocks the running sequences take in so many decode steps."""
        size = self.config.block_size
        return sum(
            max(0, -(-(sequence.computed + steps) // size) - len(sequence.blocks))
            for sequence in self.running
        )

    def _plan_running(self, plan: StepPlan) -> bool:
        """Give tokens to running sequences; tell whether one was preempted."""
        size = self.config.block_size
        preempted = False
        at = 0
        while at < len(self.running) and plan.budget > 0:
            sequence = self.running[at]
            at += 1
            if sequence.complete:
                continue
            left = sequence.total - sequence.computed
            tokens = min(left + sequence.draft, plan.budget)
            needed = -(-(sequence.computed + tokens) // size) - len(sequence.blocks)
            while needed > 0 and not self.pool.room(needed):
                preempted = True
                victim = self.running.pop()
                self._preempt(victim)
                if victim is sequence:
                    return True
            if needed > 0:
                sequence.blocks = np.append(sequence.blocks, self.pool.take(needed))
            sequence.draft = 0
            self._plan(plan, sequence, tokens, decodes=left == 1)
        return preempted

    def _admit(self, plan: StepPlan) -> None:
        """Admit waiting sequences."""
        while self.waiting and plan.budget > 0 and len(self.running) < self.config.max_num_seqs:
            sequence = self.waiting[0]
            tokens = self._start(sequence, self._hits(sequence), plan.budget)
            if not tokens:
                break
            self._plan(plan, sequence, tokens, decodes=False)

    def _start(self, sequence: Sequence, hits: IntArray, budget: int) -> int:
        """Admit the first waiting sequence; return its tokens, 0 where there is no room."""
        size = self.config.block_size
        whole = -(-sequence.total // size) - len(hits)
        if not self.pool.room(whole + self.pool.unused(hits)):
            return 0
        self.waiting.popleft()
        self.pool.hold(hits)
        cached = len(hits) * size
        tokens = min(sequence.total - cached, budget)
        taken = self.pool.take(-(-(cached + tokens) // size) - len(hits))
        sequence.blocks = np.concatenate((hits, taken))
        sequence.computed, sequence.named = cached, len(hits)
        if not sequence.served.preemptions:
            sequence.served.cached_tokens = cached
        self.running.append(sequence)
        return tokens

    def _plan(self, plan: StepPlan, sequence: Sequence, tokens: int, *, decodes: bool) -> None:
        """Let a step compute so many tokens of a sequence, for which there are blocks."""
        if decodes:
            plan.decode(sequence, tokens - 1)
        else:
            plan.read(sequence, tokens)
        sequence.computed = min(sequence.computed + tokens, sequence.total)
        self._name_full(sequence)
        if sequence.computed == sequence.total:
            sequence.total += 1
            plan.emit(sequence, ends_prompt=not decodes)
            if decodes and tokens > 1:
                plan.verify(*self._verify(sequence, tokens - 1))

    def _hits(self, sequence: Sequence) -> IntArray:
        """Return the cached blocks of a sequence that leave at least one token to compute."""
        if not self.config.enable_prefix_caching:
            return NO_BLOCKS
        return self.pool.hits(self._ids(sequence)[: (sequence.total - 1) // self.config.block_size])

    def _ids(self, sequence: Sequence) -> IntArray:
        """Return the numbers of a sequence's full blocks; those past its prompt are its own."""
        if sequence.ids is None:
            request = sequence.request
            full = (request.input_tokens + request.output_tokens) // self.config.block_size
            known = self.pool.ids(request.digests)
            sequence.ids = np.concatenate((known, self.pool.fresh(full - len(known))))
        return sequence.ids

    def _name_full(self, sequence: Sequence) -> None:
        """Enter the blocks that are full now in the cache's index."""
        full = sequence.computed // self.config.block_size
        if full > sequence.named and self.config.enable_prefix_caching:
            blocks = slice(sequence.named, full)
            self.pool.name(sequence.blocks[blocks], self._ids(sequence)[blocks])
        sequence.named = full

    def _preempt(self, sequence: Sequence) -> None:
        """Free a sequence's blocks; tokens of steps in flight are dropped."""
        self.pool.release(sequence.blocks)
        sequence.blocks = NO_BLOCKS
        sequence.computed = sequence.named = sequence.draft = 0
        sequence.total = sequence.request.input_tokens + sequence.emitted
        sequence.epoch += 1
        sequence.served.preemptions += 1
        self.preemptions += 1
        self.waiting.appendleft(sequence)
