"""A discrete-event simulation of one engine: requests arrive, steps run one after another.

With asynchronous scheduling the engine plans the next step when the last one starts, so that a
request which arrives meanwhile waits for both. Stretches of steps that only decode the same
sequences are taken in one jump: the cost grows with events, not with output tokens.
"""

from collections import deque
from collections.abc import Sequence as Sequences
from dataclasses import dataclass, replace

import numpy as np
from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.batch import StepTimes
from phasewise_analyzer.engine.request import Request, Served
from phasewise_analyzer.engine.sequence import Sequence
from phasewise_analyzer.engine.vllm_scheduler import Scheduled, SchedulerConfig, VllmScheduler


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulation found."""

    served: tuple[Served, ...]
    """in the order of the requests"""
    preemptions: int
    steps: int
    jumps: int
    """stretches of steps that were taken at once"""
    busy_s: float
    """time in which a step ran"""


def simulate(
    requests: Sequences[Request],
    times: StepTimes,
    config: SchedulerConfig,
    *,
    blocks: int | None,
) -> Outcome:
    """Serve the requests on one engine with so many KV blocks (None: never short of them).

    Raises UsageError for a request that alone does not fit in the KV cache.
    """
    for index, one in enumerate(requests):
        needed = -(-(one.input_tokens + one.output_tokens - 1) // config.block_size)
        if blocks is not None and needed > blocks:
            raise UsageError(
                f"request {index + 1} needs {needed:,} KV blocks of {config.block_size} tokens, "
                f"and the engine has {blocks:,}: vLLM would refuse it"
            )
    return _Simulation(requests, times, config, blocks).run()


class _Simulation:
    def __init__(
        self,
        requests: Sequences[Request],
        times: StepTimes,
        config: SchedulerConfig,
        blocks: int | None,
    ) -> None:
        self._times = times
        self._scheduler = VllmScheduler(config, blocks)
        self._depth = 2 if config.async_scheduling else 1
        self._planned: deque[Scheduled] = deque()
        self._sequences = [
            Sequence(index, one, Served(one.arrival_s), total=one.input_tokens)
            for index, one in enumerate(requests)
        ]
        self._arrivals = deque(sorted(self._sequences, key=lambda one: one.request.arrival_s))
        self._now = 0.0
        self._busy_s = 0.0
        self._steps = self._jumps = 0

    def run(self) -> Outcome:
        """Serve everything."""
        while True:
            self._receive()
            while len(self._planned) < self._depth:
                step = self._scheduler.schedule()
                if step is None:
                    break
                self._planned.append(step)
            if self._planned:
                if not self._jump():
                    self._execute(self._planned.popleft())
            elif self._arrivals:
                self._now = self._arrivals[0].request.arrival_s
            else:
                break
        served = tuple(one.served for one in self._sequences)
        preemptions = self._scheduler.preemptions
        return Outcome(served, preemptions, self._steps, self._jumps, self._busy_s)

    def _receive(self) -> None:
        """Queue what has arrived."""
        while self._arrivals and self._arrivals[0].request.arrival_s <= self._now:
            self._scheduler.waiting.append(self._arrivals.popleft())

    def _execute(self, step: Scheduled) -> None:
        """Run a step and hand out its tokens."""
        self._spend(self._times.step_s(step.batch), 1)
        for sequence, epoch in step.emitting:
            if epoch != sequence.epoch:
                continue
            sequence.emitted += 1
            served = sequence.served
            if sequence.emitted == 1:
                served.first_s = self._now
            if sequence.emitted == sequence.request.output_tokens:
                served.last_s = self._now
                served.output_tokens = sequence.emitted
                self._scheduler.finish(sequence)

    def _jump(self) -> bool:
        """Run all steps up to the next event at once; tell whether there were any."""
        running = self._scheduler.running
        if len(self._planned) < self._depth or not all(one.steady for one in self._planned):
            return False
        if any(len(one.emitting) != len(running) for one in self._planned):
            return False
        if not all(one.emitted for one in running):
            return False  # the time of a first token is wanted
        left = min(one.request.output_tokens - one.scheduled_out for one in running)
        steps = self._scheduler.steps_with_room(left) if left > 1 else 0
        if steps < 2:
            return False
        taken = self._times.decode_run_s(self._planned[0].batch, steps)
        ends = np.cumsum(np.concatenate(([self._now], taken)))[1:]
        if self._arrivals and not self._blocked():
            # a step is planned at each of these ends: none may see a new request
            arrival = self._arrivals[0].request.arrival_s
            steps = int(np.searchsorted(ends, arrival, side="left"))
            if steps < 1:
                return False
        self._busy_s += float(ends[steps - 1]) - self._now
        self._now = float(ends[steps - 1])
        self._steps += steps
        self._jumps += 1
        self._scheduler.advance(steps)
        for one in running:
            one.emitted += steps
        self._planned = deque(_later(one, steps) for one in self._planned)
        return True

    def _blocked(self) -> bool:
        """Tell whether a request that arrives now could not be admitted before another ends.

        A step that decodes only was planned, so whoever waits has been refused.
        """
        scheduler = self._scheduler
        return bool(scheduler.waiting) or len(scheduler.running) >= scheduler.config.max_num_seqs

    def _spend(self, seconds: float, steps: int) -> None:
        self._now += seconds
        self._busy_s += seconds
        self._steps += steps


def _later(step: Scheduled, steps: int) -> Scheduled:
    """Return a step that decodes the same sequences so many tokens later."""
    batch = step.batch
    later = replace(
        batch,
        context=batch.context + steps * batch.decodes,
        longest=batch.longest + steps,
    )
    return replace(step, batch=later)
