"""Prefill and decode on engines of their own, told again, slowly: one moment after another.

It shares no code with the simulation but the step times and what a copy takes.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace

from phasewise_analyzer.engine.runs.disaggregation import KvCopy
from phasewise_analyzer.engine.schedulers.host_tier import HostMemory
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.step_times.batch import Batch

from tests.analyzer.engine.slow_engine import Call, Plan, SlowEngine
from tests.analyzer.engine.slow_host import SlowOffloader

NEVER = float("inf")


class SlowPrefill(SlowEngine):
    """Keeps the blocks of what it has read until they are copied."""

    def __init__(self, config: SchedulerConfig, blocks: int) -> None:
        super().__init__(config, blocks)
        self.now = 0.0
        self.kept: dict[Call, float] = {}

    def plan(self) -> Plan | None:
        """Plan one step."""
        for call in [call for call, end in self.kept.items() if end <= self.now]:
            del self.kept[call]
            self.give(call)
        return super().plan()


class SlowDecode(SlowOffloader):
    """Copies what others have read; the whole prompt, but what it has itself."""

    def __init__(self, config: SchedulerConfig, blocks: int, copy: KvCopy) -> None:
        super().__init__(config, blocks, HostMemory(0, copy.block_bytes, copy.link))
        self.started: list[tuple[Call, float]] = []

    def begin(self, at: float) -> None:
        """Give the copies that were asked for their times."""
        known = len(self.copying)
        super().begin(at)
        self.started += [(call, end) for call, _, end in self.copying[known:]]

    def behind(self, call: Call, held: int) -> list[Hashable]:
        """List the blocks to copy; after a preemption none."""
        if call.life:
            return []
        whole = self.places(call.request.input_tokens)
        return [("copy", call.number, block) for block in range(held, whole)]

    def take(self, call: Call, hits: list[int], names: list[Hashable]) -> None:
        """Give a waiting call its blocks."""
        super().take(call, hits, names)
        call.done = min(call.done, call.tokens)

    def offer(self, call: Call) -> None:
        """Write nothing to a host."""


@dataclass
class Engine:
    """An engine, the steps that are planned, and the one that runs."""

    inner: SlowPrefill | SlowDecode
    planned: list[Plan] = field(default_factory=list)
    running: Plan | None = None
    end: float = NEVER
    calls: list[Call] = field(default_factory=list)

    def start(self, seconds: Callable[[Batch], float], now: float) -> None:
        """Plan and begin a step, if none runs and there is something to do."""
        if self.running is not None:
            return
        self.inner.now = now
        while len(self.planned) < (2 if self.inner.config.async_scheduling else 1):
            step = self.inner.plan()
            if isinstance(self.inner, SlowDecode):
                self.inner.begin(now + sum(seconds(batch) for batch, _ in self.planned))
            if step is None:
                break
            self.planned.append(step)
        if self.planned:
            self.running = self.planned.pop(0)
            self.end = now + seconds(self.running[0])

    def stop(self, now: float) -> list[Call]:
        """End the step; return the calls that have got their last token."""
        over: list[Call] = []
        for call, life in self.running[1] if self.running else ():
            if life != call.life:
                if isinstance(self.inner, SlowPrefill):
                    continue
                self.inner.late[call] -= 1
                call.tokens += 1
            call.out += 1
            call.first = call.first or now
            if call.out == call.request.output_tokens:
                call.last = now
                over.append(call)
        self.running, self.end = None, NEVER
        return over

    def load(self, now: float) -> int:
        """Count the calls that have not got their last token."""
        return sum(not call.last or call.last > now for call in self.calls)


def serve(
    prefill: Sequence[SlowPrefill],
    decode: Sequence[SlowDecode],
    requests: Sequence[Request],
    seconds: Callable[[Batch], float],
) -> list[tuple[Call, Call]]:
    """Serve everything; return each call as it was read and as it was generated."""
    readers, writers = [Engine(one) for one in prefill], [Engine(one) for one in decode]
    pairs = [
        (
            Call(at, replace(one, output_tokens=1), one.input_tokens),
            Call(at, one, one.input_tokens),
        )
        for at, one in enumerate(requests)
    ]
    coming = sorted(pairs, key=lambda pair: pair[0].request.arrival_s)
    turn = ties = 0
    now = 0.0
    while True:
        read: list[Call] = []
        for reader in readers:
            for call in reader.stop(now) if reader.end == now else ():
                assert isinstance(reader.inner, SlowPrefill)
                reader.inner.running.remove(call)
                reader.inner.kept[call] = NEVER
                read.append(call)
        for writer in writers:
            for call in writer.stop(now) if writer.end == now else ():
                assert isinstance(writer.inner, SlowDecode)
                writer.inner.end(call)
        while coming and coming[0][0].request.arrival_s <= now:
            call = coming.pop(0)[0]
            readers[turn % len(readers)].inner.waiting.append(call)
            turn += 1
        for call in sorted(read, key=lambda one: one.number):
            loads = [writer.load(now) for writer in writers]
            idlest = [one for one, load in zip(writers, loads, strict=True) if load == min(loads)]
            chosen = idlest[ties % len(idlest)]
            ties += 1
            chosen.calls.append(pairs[call.number][1])
            chosen.inner.waiting.append(pairs[call.number][1])
        for one in [*readers, *writers]:
            one.start(seconds, now)
        for copy, end in [one for engine in decode for one in engine.started]:
            reading = pairs[copy.number][0]
            next(one for one in prefill if reading in one.kept).kept[reading] = end
        for engine in decode:
            engine.started = []
        moments = [one.end for one in [*readers, *writers]]
        moments += [end for engine in prefill for end in engine.kept.values()]
        moments += [end for engine in decode for _, _, end in engine.copying]
        moments += [pair[0].request.arrival_s for pair in coming[:1]]
        later = [moment for moment in moments if now < moment < NEVER]
        if not later:
            return pairs
        now = min(later)
