"""SGLang's scheduler: prefill steps apart from decode steps, prefill first.

Rules (SGLang 0.5.23, srt/managers/scheduler and schedule_batch), first come, first served:
- waiting prompts are read before running requests go on, as many as `prefill_budget` admits; once
  it admits no more, nobody is looked at until a request has left;
- at most one prompt is read in part, and goes on in the next step, before others;
- a prompt can be hit by others when its last step has ended and the next one is planned; after each
  chunk of a prompt, that chunk;
- a decode step has every running request; where their next tokens find no place, the request with
  the least output is retracted: it loses its KV cache and waits at the end of the queue;
- in every 32nd pass over the queue, what is cached of the first 128 waiting prompts is touched;
- on a CPU the process that schedules also computes: a step's tokens come out after the next one.
"""

from collections import deque
from dataclasses import dataclass

from phasewise_analyzer.engine.schedulers.kv_tokens import KvTokens, Row
from phasewise_analyzer.engine.schedulers.new_token_ratio import RETRACT_STEPS, NewTokenRatio
from phasewise_analyzer.engine.schedulers.prefill_budget import PrefillBudget
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.scheduler import Scheduled
from phasewise_analyzer.engine.schedulers.sequence import Sequence
from phasewise_analyzer.engine.schedulers.transfers import Transfers
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk

TOUCH_PASSES, TOUCHED = 32, 128


@dataclass(frozen=True, slots=True)
class SglangConfig:
    """Flags of SGLang that the scheduler depends on, under their names."""

    chunked_prefill_size: int | None = 8192
    """None is no limit"""
    max_prefill_tokens: int = 16_384
    max_running_requests: int = 2048
    schedule_conservativeness: float = 1.0
    page_size: int = 1
    disable_radix_cache: bool = False
    disable_overlap_schedule: bool = False
    on_cpu: bool = False
    """the process that schedules also computes the steps"""

    @property
    def engine(self) -> str:
        """Name the engine."""
        return "SGLang"

    @property
    def block_size(self) -> int:
        """Tokens per page."""
        return self.page_size

    @property
    def step_tokens(self) -> int | None:
        """Return the most prompt tokens of one step."""
        return self.chunked_prefill_size

    @property
    def prefix_caching(self) -> bool:
        """Tell whether prefixes are cached."""
        return not self.disable_radix_cache

    @property
    def planned_steps(self) -> int:
        """Return how many steps are planned at once."""
        return 1 if self.disable_overlap_schedule or self.on_cpu else 2

    @property
    def late_tokens(self) -> bool:
        """Tell whether the tokens of a step come out only when the next one has ended."""
        return self.on_cpu and not self.disable_overlap_schedule

    def scheduler(self, blocks: int | None) -> "SglangScheduler":
        """Make a scheduler with so many pages."""
        return SglangScheduler(self, blocks)

    def most_tokens(self, blocks: int) -> int:
        """Return the prompt and output tokens that fit in so many pages; see `blocks_needed`."""
        return max(0, blocks - 3) * self.page_size

    def blocks_needed(self, request: Request) -> int:
        """Return the pages of a request; SGLang cuts its output off where they do not suffice.

        It keeps a page and a token free beside a request, and without a prefix cache one more.
        """
        prompt = -(-request.input_tokens // self.page_size)
        return prompt + -(-(request.output_tokens + 2) // self.page_size) + 1


class SglangScheduler:
    """The queue, the running sequences and their KV cache."""

    def __init__(self, config: SglangConfig, blocks: int | None) -> None:
        self.config = config
        self.transfers: Transfers | None = None
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.preemptions = 0
        """retractions"""
        self._pool = KvTokens(blocks, config.page_size, caching=not config.disable_radix_cache)
        self._rows: dict[Sequence, Row] = {}
        """of running sequences, and of waiting ones that were looked at"""
        self._read: list[Sequence] = []
        """sequences of the last prefill step"""
        self._batch: list[Sequence] = []
        """sequences that decode"""
        self._chunked: Sequence | None = None
        """the sequence whose prompt is read in part"""
        self._full = False
        """whether nobody is looked at until a sequence has left"""
        self._ratio = NewTokenRatio(config.schedule_conservativeness)
        self._passes = 0

    def schedule(self) -> Scheduled | None:
        """Plan the next step; None where there is nothing to compute."""
        if not self.running and not self.waiting:
            self._ratio.idle()
        self._merge()
        return self._plan_prefill() or self._plan_decode()

    def emitted(self, sequence: Sequence) -> None:
        """Publish a prompt whose last step has ended."""
        row = self._rows[sequence]
        if row.unpublished:
            self._pool.publish(sequence, row, row.unpublished)
            row.unpublished = 0

    def finish(self, sequence: Sequence) -> None:
        """Take a finished sequence out; its KV cache becomes that of the tree."""
        row = self._rows.pop(sequence)
        self._pool.publish(sequence, row, row.length)
        self._pool.release(row)
        self.running.remove(sequence)
        for held in (self._batch, self._read):
            if sequence in held:
                held.remove(sequence)
                self._full = False

    def steps_with_room(self, most: int) -> int:
        """Return for how many steps, at most, every running sequence finds its places."""
        return self._pool.decode_steps([self._rows[one] for one in self._batch], most)

    def advance(self, steps: int) -> None:
        """Plan so many steps at once that decode every running sequence."""
        self._ratio.decode(steps)
        self._pool.decode([self._rows[one] for one in self._batch], steps)
        for sequence in self._batch:
            sequence.computed += steps
            sequence.total += steps

    def full(self) -> bool:
        """Tell whether a request that arrives now is looked at only when another has left."""
        return self._full or len(self.running) >= self.config.max_running_requests

    def cached_blocks(self, sequence: Sequence) -> int:
        """Return how many pages of a prompt are cached."""
        return self._pool.lookup(sequence) // self.config.page_size

    def blocks_in_use(self) -> int:
        """Return the pages that running sequences use, and those that waiting prompts need."""
        return self._pool.pages_in_use + sum(self._pool.pages(one.total) for one in self.waiting)

    def _merge(self) -> None:
        """Let sequences decode whose prompt the last step has read to its end."""
        chunked = self._chunked
        if chunked is not None:
            self._pool.publish(chunked, self._rows[chunked], chunked.computed)
            self._full = False
        self._batch += [one for one in self._read if one is not chunked]
        self._read = []

    def _plan_prefill(self) -> Scheduled | None:
        """Plan a step that reads prompts, if there are any to be read."""
        if not self._batch:
            self._full = False
        if (self._full or not self.waiting) and self._chunked is None:
            return None
        if self._places() <= 0 and self._chunked is None:
            self._full = True
            return None
        self._touch_waiting()
        budget = PrefillBudget(
            self._pool,
            self._batch,
            ratio=self._ratio.now,
            step_tokens=self.config.max_prefill_tokens,
            chunk_tokens=self.config.chunked_prefill_size,
        )
        planned: list[tuple[Sequence, int]] = []
        if self._chunked is not None:
            planned.append((self._chunked, self._go_on(self._chunked, budget)))
        self._admit(planned, budget)
        return self._prefill(planned) if planned else None

    def _places(self) -> int:
        """Return how many further sequences may run."""
        return self.config.max_running_requests - len(self.running)

    def _go_on(self, sequence: Sequence, budget: PrefillBudget) -> int:
        """Read on in a prompt that was read in part; return how many tokens."""
        left = sequence.total - sequence.computed
        new = min(left, budget.next_chunk())
        budget.take(sequence, new, whole=new == left)
        if new == left:
            self._chunked = None
        return new

    def _admit(self, planned: list[tuple[Sequence, int]], budget: PrefillBudget) -> None:
        """Admit waiting sequences."""
        begun, places = len(planned), self._places()
        while self.waiting and (budget.exhausted or not budget.spent):
            if len(planned) - begun >= places:
                self._full = True
            if self._full:
                break
            sequence = self.waiting[0]
            row = self._row(sequence)
            cached = self._pool.match(sequence, row)
            fits = budget.fits(sequence, cached)
            new = budget.chunk(sequence, cached) if fits else 0
            if not new:
                self._pool.unlock(row)
                if not fits:
                    self._full = bool(planned or self._batch)
                break
            self.waiting.popleft()
            planned.append((sequence, new))
            whole = cached + new == sequence.total
            budget.take(sequence, new, whole=whole)
            if not whole:
                self._chunked = sequence
            sequence.computed = cached
            if not sequence.served.preemptions:
                sequence.served.cached_tokens = cached
            if budget.exhausted:
                self._full = True
                break
        self.running += [sequence for sequence, _ in planned[begun:]]

    def _prefill(self, planned: list[tuple[Sequence, int]]) -> Scheduled:
        """Plan the step that reads so many tokens of each prompt."""
        chunks = tuple(Chunk(new, sequence.computed) for sequence, new in planned)
        rows = [(self._rows[sequence], sequence.computed + new) for sequence, new in planned]
        self._pool.read(rows)
        emitting = []
        for sequence, new in planned:
            sequence.computed += new
            if sequence.computed == sequence.total:
                self._rows[sequence].unpublished = sequence.total
                sequence.total += 1
                emitting.append((sequence, sequence.epoch))
        self._read = [sequence for sequence, _ in planned]
        return Scheduled(Batch(chunks), tuple(emitting), tuple(self._read), (), steady=False)

    def _plan_decode(self) -> Scheduled | None:
        """Plan a step that decodes; None where nobody goes on, or has to wait for an end."""
        ending = [one for one in self._batch if one.complete]
        if ending:
            self._batch = [one for one in self._batch if not one.complete]
            self._full = False
        if not self._batch:
            return None
        if self._pool.decodes([self._rows[one] for one in self._batch]):
            self._ratio.decode(1)
        elif ending:
            return None  # the places of those that end are free in the next step
        else:
            self._retract()
        self._pool.decode([self._rows[one] for one in self._batch], 1)
        decoding = tuple((one, one.total) for one in self._batch)
        for sequence in self._batch:
            sequence.computed += 1
            sequence.total += 1
        lengths = [context for _, context in decoding]
        batch = Batch((), len(lengths), sum(lengths), max(lengths))
        emitting = tuple((one, one.epoch) for one in self._batch)
        alone = len(self._batch) == len(self.running)
        return Scheduled(
            batch, emitting, (), decoding, steady=alone and (self._full or not self.waiting)
        )

    def _retract(self) -> None:
        """Take sequences out, those with the least output first, until the rest find places."""
        kept = sorted(
            self._batch, key=lambda one: (one.emitted, -one.request.input_tokens), reverse=True
        )
        while len(kept) > 1:
            self._retract_one(kept.pop(), others=len(kept))
            if self._pool.decodes([self._rows[one] for one in kept]):
                break
        self._batch = kept
        self._full = False
        self._ratio.retracted(
            [one.emitted for one in kept], [self._pool.allowed(one) for one in kept]
        )

    def _retract_one(self, sequence: Sequence, *, others: int) -> None:
        """Free a sequence's KV cache; tokens of steps in flight are dropped."""
        self._pool.release(self._rows.pop(sequence))
        self._pool.make_room(others * RETRACT_STEPS)
        self.running.remove(sequence)
        sequence.computed = 0
        sequence.total = sequence.request.input_tokens + sequence.emitted
        sequence.epoch += 1
        sequence.served.preemptions += 1
        self.preemptions += 1
        self.waiting.append(sequence)

    def _touch_waiting(self) -> None:
        """Have what is cached of waiting prompts evicted later, once in a while."""
        if not (self._pool.caching and self.waiting):
            return
        self._passes += 1
        if self._passes % TOUCH_PASSES == 1:
            for sequence in reversed(list(self.waiting)[:TOUCHED]):
                self._pool.touch(sequence, self._row(sequence))

    def _row(self, sequence: Sequence) -> Row:
        """Return the row of a sequence."""
        if sequence not in self._rows:
            self._rows[sequence] = self._pool.row(sequence)
        return self._rows[sequence]
