"""One engine over time: requests are submitted, steps run one after another, tokens come out.

With asynchronous scheduling the engine plans the next step when the last one starts, so that a
request which arrives meanwhile waits for both. Where the scheduler's process computes the steps
itself (SGLang on a CPU), the tokens of a step come out when the next one has ended. Stretches of
steps that only decode the same sequences are taken in one jump: the cost grows with events, not
with output tokens.

An engine may have several data-parallel ranks that run every step together, as vLLM runs a mixture
of experts: each rank has its own scheduler and KV cache, a step takes as long as the slowest rank,
and a rank without work takes part with an empty step. A request goes to the rank with the fewest
requests in flight.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from phasewise_analyzer.engine.runs.attribution import Attribution
from phasewise_analyzer.engine.schedulers.scheduler import EngineConfig, Scheduled
from phasewise_analyzer.engine.schedulers.sequence import Sequence
from phasewise_analyzer.engine.step_times import kernel_preparation
from phasewise_analyzer.engine.step_times.batch import Batch, FloatArray, StepTimes
from phasewise_analyzer.engine.step_times.kernel_preparation import PreparedKernels

Step = tuple[Scheduled | None, ...]
"""what each rank computes; None is a rank without work"""


class EngineRun:
    """The state of one engine, and its clock."""

    def __init__(
        self, times: StepTimes, config: EngineConfig, *, blocks: int | None, ranks: int = 1
    ) -> None:
        self.now = 0.0
        self.steps = self.jumps = 0
        self.busy_s = self.prefill_s = 0.0
        """time in which a rank computed, summed over ranks, and the part that prefill caused"""
        self._times = times
        self._prepared = PreparedKernels(kernel_preparation.of(times))
        self._attribution = Attribution(times)
        self._ranks = [config.scheduler(blocks) for _ in range(ranks)]
        self._transfers = [one.transfers for one in self._ranks if one.transfers is not None]
        self._rank_of: dict[int, int] = {}
        self._in_flight = [0] * ranks
        self._first_choice = 0
        self._depth = config.planned_steps
        self._late = config.late_tokens
        self._planned: deque[Step] = deque()
        self._held_back: Step | None = None
        """the step that has ended and whose tokens have not come out"""
        self._finished: list[Sequence] = []
        """the sequences that the last step finished"""
        self.planned = False
        """whether the next steps are planned: a request that is submitted now is not in them"""
        self._quiet_s: float | None = None

    @property
    def preemptions(self) -> int:
        """Preemptions of all ranks."""
        return sum(rank.preemptions for rank in self._ranks)

    def in_flight(self, at_s: float) -> int:
        """Return how many submitted requests have not finished at a time close to the clock's."""
        return sum(self._rank_in_flight(rank, at_s) for rank in range(len(self._ranks)))

    def blocks_in_use(self) -> int:
        """Return the KV blocks that running sequences hold and waiting prompts will take."""
        return sum(rank.blocks_in_use() for rank in self._ranks)

    def cached_blocks(self, sequence: Sequence) -> int:
        """Return how many full blocks of a prompt are cached, on the rank that has most."""
        return max(rank.cached_blocks(sequence) for rank in self._ranks)

    def submit(self, sequence: Sequence) -> None:
        """Queue a request that has arrived by now."""
        rank = self._least_loaded(sequence.request.arrival_s)
        self._rank_of[sequence.index] = rank
        self._in_flight[rank] += 1
        self._ranks[rank].waiting.append(sequence)
        self.planned = False

    def on_transfer(self, told: Callable[[Sequence, float], None]) -> None:
        """Have a function learn of every copy to this engine, with the time at which it ends."""
        for transfers in self._transfers:
            transfers.told = told

    def release_at(self, sequence: Sequence, at_s: float) -> None:
        """Free the blocks of a finished sequence, which stayed for others to copy, at a time."""
        transfers = self._ranks[self._rank_of[sequence.index]].transfers
        assert transfers is not None, "the scheduler keeps blocks of finished sequences"
        transfers.note(sequence, at_s)
        self.planned = False

    def run(self, horizon_s: float = math.inf) -> list[Sequence]:
        """Run steps until some requests finish, and return these.

        Returns an empty list once the clock has reached the horizon, where the next request is
        due, or nothing is left to do. A step that has started is finished.
        """
        while self.now < horizon_s:
            self.plan()
            if not self._planned and self._held_back is None:
                arrives_s = self._next_transfer_s()
                next_s = min(horizon_s, arrives_s)
                if not math.isfinite(next_s):
                    break
                self.now, self.planned = next_s, next_s < arrives_s
                continue
            if not self._jump(horizon_s):
                self._execute(self._planned.popleft() if self._planned else None)
                if self._finished:
                    return self._finished
        return []

    def plan(self) -> None:
        """Plan the next steps, as far ahead as the engine does."""
        for transfers in self._transfers:
            transfers.now_s = self.now
        while len(self._planned) < self._depth:
            step = tuple(rank.schedule() for rank in self._ranks)
            self._start_transfers()
            if all(part is None for part in step):
                break
            self._planned.append(step)
            for part in step:
                self._note_scheduled(part)
        if not self.planned:
            self.planned, self._quiet_s = True, None

    @property
    def quiet_until_s(self) -> float:
        """A time up to which no request finishes, if none is submitted before the clock's."""
        if not any(self._in_flight):
            return math.inf
        if not self.planned:
            return self.now
        if not self._planned and self._held_back is None:
            return self._next_transfer_s()
        if self._quiet_s is None:
            steps = self._quiet_steps()
            quiet_s = self.now + (float(self._run_s(steps).sum()) if steps else 0.0)
            self._quiet_s = min(quiet_s, self._next_transfer_s())
        return self._quiet_s

    def _start_transfers(self) -> None:
        """Let the copies that were planned with a step begin after the steps before it."""
        if any(transfers.asked for transfers in self._transfers):
            begins_s = self.now
            for step in self._planned:
                begins_s += max(self._times.step_s(batch) for batch in _batches(step))
            for transfers in self._transfers:
                transfers.start(begins_s)

    def _next_transfer_s(self) -> float:
        """Return when the next copy to this engine ends; infinite where there is none."""
        return min((one.next_s(self.now) for one in self._transfers), default=math.inf)

    def _note_scheduled(self, part: Scheduled | None) -> None:
        """Note the time for the sequences whose first step was planned now."""
        for sequence in part.reading if part is not None else ():
            if sequence.served.scheduled_s is None:
                sequence.served.scheduled_s = self.now

    def _least_loaded(self, at_s: float) -> int:
        """Return the rank with the fewest requests in flight; ties are dealt in turn."""
        count = len(self._ranks)
        order = [(self._first_choice + at) % count for at in range(count)]
        chosen = min(order, key=lambda rank: self._rank_in_flight(rank, at_s))
        self._first_choice = (chosen + 1) % count
        return chosen

    def _rank_in_flight(self, rank: int, at_s: float) -> int:
        """Count requests; the step that just ended may have done so after the given time."""
        late = sum(
            one.served.last_s > at_s and self._rank_of[one.index] == rank for one in self._finished
        )
        return self._in_flight[rank] + late

    def _execute(self, step: Step | None) -> None:
        """Run a step, if one is planned, and hand out the tokens that come out at its end."""
        self.planned = False
        if step is not None:
            self._run_step(step)
        ended = step
        if self._late:
            ended, self._held_back = self._held_back, step
        self._finished = []
        for rank, part in enumerate(ended or ()):
            if part is not None:
                self._hand_out(rank, part)

    def _run_step(self, step: Step) -> None:
        """Let a step's time pass and share it among its calls."""
        batches = _batches(step)
        seconds = max(self._times.step_s(batch) for batch in batches)
        seconds += self._prepared_s(batches)
        self.now += seconds
        self.busy_s += seconds * len(batches)
        for part in step:
            if part is not None:
                self.prefill_s += self._attribution.add_step(part, seconds)
        self.steps += 1

    def _prepared_s(self, batches: list[Batch]) -> float:
        """Return what it takes to have the kernels of a step, and keep them."""
        tokens = _tokens(batches)
        seconds = self._prepared.missing_s(tokens)
        self._prepared.keep(tokens)
        return seconds

    def _hand_out(self, rank: int, part: Scheduled) -> None:
        """Give the sequences of one rank their tokens."""
        for sequence, epoch in part.emitting:
            if epoch != sequence.epoch:
                if not sequence.late:
                    continue
                sequence.late -= 1
                sequence.total += 1
            sequence.emitted += sequence.emitting
            served = sequence.served
            if sequence.emitted == 1:
                served.first_s = self.now
            if sequence.emitted == sequence.request.output_tokens:
                served.last_s = self.now
                served.output_tokens = sequence.emitted
                self._ranks[rank].finish(sequence)
                self._in_flight[rank] -= 1
                self._finished.append(sequence)
            else:
                self._ranks[rank].emitted(sequence)

    def _jump(self, horizon_s: float) -> bool:
        """Run all steps up to the next event at once; tell whether there were any."""
        steps = self._quiet_steps()
        if not steps:
            return False
        busy = [rank for rank in self._ranks if rank.running]
        taken = self._run_s(steps)
        taken[0] += self._prepared.missing_s(_tokens(_batches(self._planned[0])))
        ends = np.cumsum(np.concatenate(([self.now], taken)))[1:]
        until_s = self._next_transfer_s()
        if not all(rank.full() for rank in self._ranks):
            # a step is planned at each of these ends: none may see a new request
            until_s = min(until_s, horizon_s)
        if math.isfinite(until_s):
            steps = int(np.searchsorted(ends, until_s, side="left"))
            if steps < 1:
                return False
        self._prepared.keep(_tokens(_batches(self._planned[0])))
        for part in self._planned[0]:
            if part is not None:
                self.busy_s += float(taken[:steps].sum())
                self._attribution.add_run(part, taken[:steps])
        self.now = float(ends[steps - 1])
        self.steps += steps
        self.jumps += 1
        self._finished = []
        for rank in busy:
            rank.advance(steps)
            for one in rank.running:
                one.emitted += steps
        if self._late:
            self._held_back = _later(self._planned[0], steps - 1)
        self._planned = deque(_later(step, steps) for step in self._planned)
        return True

    def _quiet_steps(self) -> int:
        """Return for how many steps the same sequences decode and none ends; 0 for less than 2."""
        if self._late and self._held_back is None:
            return 0  # the next step brings no tokens
        ahead = [*self._planned] if self._held_back is None else [self._held_back, *self._planned]
        if len(self._planned) < self._depth or not all(map(self._steady, ahead)):
            return 0
        busy = [rank for rank in self._ranks if rank.running]
        running = [one for rank in busy for one in rank.running]
        if not all(one.emitted for one in running):
            return 0  # the time of a first token is wanted
        left = min(one.quiet_steps for one in running)
        steps = min(rank.steps_with_room(left) for rank in busy) if left > 1 else 0
        return steps if steps > 1 else 0

    def _run_s(self, steps: int) -> FloatArray:
        """Return the seconds of so many decode steps in a row."""
        batches = _batches(self._planned[0])
        taken: FloatArray = np.max(
            [self._times.decode_run_s(batch, steps) for batch in batches], axis=0
        )
        return taken

    def _steady(self, step: Step) -> bool:
        """Tell whether a step decodes every running sequence and nothing else."""
        return all(
            not rank.running
            if part is None
            else part.steady and len(part.emitting) == len(rank.running)
            for rank, part in zip(self._ranks, step, strict=True)
        )


def _batches(step: Step) -> list[Batch]:
    """Return the batches of the ranks that have work; each knows what the others compute."""
    batches = [part.batch for part in step if part is not None]
    if len(step) == 1:
        return batches
    tokens = sum(batch.tokens for batch in batches)
    return [replace(batch, elsewhere=tokens - batch.tokens) for batch in batches]


def _tokens(batches: list[Batch]) -> int:
    """Return the tokens of a step, on the rank that has most."""
    return max(batch.tokens for batch in batches)


def _later(step: Step, steps: int) -> Step:
    """Return a step that decodes the same sequences so many tokens later."""
    return tuple(part and _part_later(part, steps) for part in step)


def _part_later(part: Scheduled, steps: int) -> Scheduled:
    batch = part.batch
    later = replace(
        batch,
        context=batch.context + steps * batch.decodes,
        longest=batch.longest + steps,
    )
    decoding = tuple((sequence, context + steps) for sequence, context in part.decoding)
    return replace(part, batch=later, decoding=decoding)
