"""vLLM V1's scheduler: which tokens of which sequences the next step computes.

Rules (vLLM 0.19 to 0.32, v1/core/sched/scheduler.py), first come, first served:
- running sequences come first, each with all its tokens up to the budget (chunked prefill);
- a sequence without a free block preempts the one that was admitted last, which loses its blocks
  and waits at the front of the queue; a step that preempts admits nobody;
- a waiting sequence is admitted while the budget and `max_num_seqs` allow, if its whole prompt
  fits in the free blocks; it skips its cached blocks, but computes at least one token;
- full blocks can be hit from the moment they are scheduled.
"""

from collections import deque
from dataclasses import dataclass

from phasewise_analyzer.engine.batch import Batch, Chunk
from phasewise_analyzer.engine.block_pool import BlockPool
from phasewise_analyzer.engine.request import Request
from phasewise_analyzer.engine.scheduler import Scheduled
from phasewise_analyzer.engine.sequence import Sequence
from phasewise_analyzer.engine.transfers import Transfers


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

    def blocks_needed(self, request: Request) -> int:
        """Return the blocks of a request; the last generated token is never read."""
        return -(-(request.input_tokens + request.output_tokens - 1) // self.block_size)


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
        budget = self.config.max_num_batched_tokens
        chunks: list[Chunk] = []
        emitting: list[tuple[Sequence, int]] = []
        planned: list[tuple[Sequence, int]] = []
        preempted = self._plan_running(planned, budget)
        budget -= sum(tokens for _, tokens in planned)
        steady = len(planned) == len(self.running) and not preempted
        decoding = [sequence.decoding for sequence, _ in planned]
        if not preempted:
            admitted = self._admit(budget)
            planned += admitted
            decoding += [False] * len(admitted)
            steady = steady and not admitted
        reading: list[Sequence] = []
        contexts: list[tuple[Sequence, int]] = []
        for (sequence, tokens), decodes_one in zip(planned, decoding, strict=True):
            if decodes_one:
                contexts.append((sequence, sequence.total))
            else:
                chunks.append(Chunk(tokens, sequence.computed))
                reading.append(sequence)
            sequence.computed += tokens
            self._name_full(sequence)
            if sequence.computed == sequence.total:
                sequence.total += 1
                emitting.append((sequence, sequence.epoch))
        if not planned:
            return None
        lengths = [context for _, context in contexts]
        batch = Batch(tuple(chunks), len(lengths), sum(lengths), max(lengths, default=0))
        steady = steady and not chunks
        return Scheduled(batch, tuple(emitting), tuple(reading), tuple(contexts), steady)

    def emitted(self, sequence: Sequence) -> None:
        """Do nothing: full blocks were cached when they were scheduled."""

    def finish(self, sequence: Sequence) -> None:
        """Take a finished sequence out and free its blocks."""
        self.running.remove(sequence)
        self.pool.release(sequence.blocks)

    def hits(self, sequence: Sequence) -> list[int]:
        """Return the cached blocks of a sequence that leave at least one token to compute."""
        if not self.config.enable_prefix_caching:
            return []
        return self.pool.hits(sequence.digests((sequence.total - 1) // self.config.block_size))

    def cached_blocks(self, sequence: Sequence) -> int:
        """Return how many full blocks of a prompt are cached."""
        return len(self.hits(sequence))

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
                sequence.blocks += self.pool.take(missing)
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

    def _plan_running(self, planned: list[tuple[Sequence, int]], budget: int) -> bool:
        """Give tokens to running sequences; tell whether one was preempted."""
        size = self.config.block_size
        preempted = False
        at = 0
        while at < len(self.running) and budget > 0:
            sequence = self.running[at]
            tokens = 0 if sequence.complete else min(sequence.total - sequence.computed, budget)
            if tokens:
                needed = -(-(sequence.computed + tokens) // size) - len(sequence.blocks)
                while needed > 0 and not self.pool.room(needed):
                    preempted = True
                    victim = self.running.pop()
                    self._preempt(victim)
                    if victim is sequence:
                        return True
                if needed > 0:
                    sequence.blocks += self.pool.take(needed)
                planned.append((sequence, tokens))
                budget -= tokens
            at += 1
        return preempted

    def _admit(self, budget: int) -> list[tuple[Sequence, int]]:
        """Admit waiting sequences."""
        admitted: list[tuple[Sequence, int]] = []
        while self.waiting and budget > 0 and len(self.running) < self.config.max_num_seqs:
            sequence = self.waiting[0]
            tokens = self._start(sequence, self.hits(sequence), budget)
            if not tokens:
                break
            admitted.append((sequence, tokens))
            budget -= tokens
        return admitted

    def _start(self, sequence: Sequence, hits: list[int], budget: int) -> int:
        """Admit the first waiting sequence; give its tokens, 0 where there is no room."""
        size = self.config.block_size
        whole = -(-sequence.total // size) - len(hits)
        if not self.pool.room(whole + self.pool.unused(hits)):
            return 0
        self.waiting.popleft()
        self.pool.hold(hits)
        cached = len(hits) * size
        tokens = min(sequence.total - cached, budget)
        sequence.blocks = hits + self.pool.take(-(-(cached + tokens) // size) - len(hits))
        sequence.computed, sequence.named = cached, len(hits)
        if not sequence.served.preemptions:
            sequence.served.cached_tokens = cached
        self.running.append(sequence)
        return tokens

    def _name_full(self, sequence: Sequence) -> None:
        """Enter the blocks that are full now in the cache's index."""
        full = sequence.computed // self.config.block_size
        if self.config.enable_prefix_caching:
            for block in range(sequence.named, full):
                self.pool.name(sequence.blocks[block], sequence.digest(block))
        sequence.named = full

    def _preempt(self, sequence: Sequence) -> None:
        """Free a sequence's blocks; tokens of steps in flight are dropped."""
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        sequence.computed = sequence.named = 0
        sequence.total = sequence.request.input_tokens + sequence.emitted
        sequence.epoch += 1
        sequence.served.preemptions += 1
        self.preemptions += 1
        self.waiting.appendleft(sequence)
