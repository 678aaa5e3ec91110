"""vLLM with KV blocks in host memory told again, slowly: every step on its own, plain lists.

It shares no code with the simulation but the step times and what a copy takes.
"""

from collections.abc import Callable, Hashable, Sequence

from phasewise_analyzer.engine.schedulers.host_tier import HostMemory
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk

from tests.analyzer.engine.slow_engine import Call, Plan, SlowEngine

Work = list[tuple[Call, int, bool]]
"""calls with the tokens that a step computes of them, and whether they decode"""


class SlowOffloader(SlowEngine):
    """Runs step by step, and moves blocks to the host and back."""

    def __init__(self, config: SchedulerConfig, blocks: int, host: HostMemory) -> None:
        super().__init__(config, blocks)
        self.memory = host
        self.kept: list[Hashable] = []
        """in host memory, the least recently used first"""
        self.copying: list[tuple[Call, list[Hashable], float]] = []
        """calls whose blocks are on the way, and when they will be there"""
        self.there: list[Call] = []
        """calls whose blocks have come, in the order of `holding`"""
        self.holding: list[Call] = []
        """calls that hold blocks and do not run"""
        self.asked: list[tuple[Call, list[Hashable]]] = []
        self.offered: dict[Call, int] = {}
        self.touched: dict[Call, set[int]] = {}
        self.over: list[Call] = []
        self.late: dict[Call, int] = {}
        self.loaded: dict[Call, int] = {}
        self.link_free = 0.0
        self.now = 0.0

    def begin(self, at: float) -> None:
        """Give the copies that were asked for their times."""
        for call, names in self.asked:
            took = self.memory.link.latency_s
            took += len(names) * self.memory.block_bytes / self.memory.link.bytes_s
            self.link_free = max(self.link_free, at) + took
            self.copying.append((call, names, self.link_free))
        self.asked = []

    def plan(self) -> Plan | None:
        """Plan one step; one that only preempts is followed by another at once."""
        before = self.preemptions
        return self.attempt() or (self.attempt() if self.preemptions > before else None)

    def attempt(self) -> Plan | None:
        """Plan what a step computes and which copies begin with it."""
        known = [(call, call.life, call.tokens) for call in self.running]
        found = self.chosen()
        for call, life, tokens in known:
            if call.life > life:
                self.late[call] = tokens - call.request.input_tokens - call.out
        return found

    def chosen(self) -> Plan | None:
        """Choose what to compute and to copy."""
        self.there += [call for call, _, end in self.copying if end <= self.now]
        self.copying = [one for one in self.copying if one[2] > self.now]
        work, preempted = self.plan_running(self.config.max_num_batched_tokens)
        if not preempted and self.resume(work):
            self.admit(work)
        emitting = []
        contexts = [call.tokens for call, _, decodes in work if decodes]
        chunks = tuple(Chunk(new, call.done) for call, new, decodes in work if not decodes)
        for call, new, _ in work:
            call.done += new
            self.offer(call)
            if call.done == call.tokens:
                call.tokens += 1
                emitting.append((call, call.life))
        for call in self.over:
            for block in sorted(self.touched.get(call, ()), reverse=True):
                if (name := self.path(call, block)) in self.kept:
                    self.kept.remove(name)
                    self.kept.append(name)
        self.over = []
        if not work:
            return None
        longest = max(contexts, default=0)
        return Batch(chunks, len(contexts), sum(contexts), longest), emitting

    def left(self, work: Work) -> int:
        """Count the tokens that a step still has room for; none where all places are taken."""
        if len(self.running) >= self.config.max_num_seqs:
            return 0
        return self.config.max_num_batched_tokens - sum(new for _, new, _ in work)

    def resume(self, work: Work) -> bool:
        """Let calls whose blocks have come run; tell whether all of them found room."""
        for call in [one for one in self.holding if one in self.there]:
            if not self.left(work):
                return True
            self.name(call, call.done)
            call.done = min(call.done, call.tokens - 1)
            if self.places(call.tokens) - len(call.blocks) > len(self.free):
                return False
            new = min(self.left(work), call.tokens - call.done)
            assert self.fill(call, new)
            self.name(call, call.done + new)
            self.holding.remove(call)
            self.there.remove(call)
            self.running.append(call)
            work.append((call, new, False))
        return True

    def admit(self, work: Work) -> None:
        """Let waiting calls run, or ask for copies of what the host has of them."""
        for call in list(self.waiting):
            if not self.left(work):
                return
            hits = self.hits(call)
            names = self.behind(call, len(hits))
            if self.owed(call) or any(name in self.on_the_way() for name in names):
                continue
            idle = sum(not self.users[block] for block in hits)
            reading = [one for one in self.running if one.tokens - one.done > 1]
            promised = sum(
                max(0, self.places(one.tokens) - len(one.blocks))
                for one in [*self.holding, *reading]
            )
            if self.places(call.tokens) - len(hits) + idle > len(self.free):
                return
            if names and len(names) + idle + promised > len(self.free):
                return
            self.take(call, hits, names)
            if not names:
                new = min(self.left(work), call.tokens - call.done)
                assert self.fill(call, new)
                self.name(call, call.done + new)
                self.running.append(call)
                work.append((call, new, False))

    def take(self, call: Call, hits: list[int], names: list[Hashable]) -> None:
        """Give a waiting call the blocks that the GPU has, and places for those of the host."""
        size = self.config.block_size
        self.waiting.remove(call)
        for block in hits:
            self.users[block] += 1
            if block in self.free:
                self.free.remove(block)
        call.blocks, call.done = list(hits), len(hits) * size
        if call.cached is None:
            call.cached = call.done + len(names) * size
            self.loaded[call] = len(names) * size
        if names:
            assert self.fill(call, len(names) * size)
            call.done += len(names) * size
            self.asked.append((call, names))
            self.holding.append(call)
            self.offered[call] = len(call.blocks)
            self.touched.setdefault(call, set()).update(range(len(hits), len(call.blocks)))

    def on_the_way(self) -> list[Hashable]:
        """List the blocks that are being copied."""
        copies = [names for _, names, _ in self.copying] + [names for _, names in self.asked]
        return [name for names in copies for name in names]

    def owed(self, call: Call) -> bool:
        """Tell whether tokens of a preempted call have still to come out."""
        return self.late.get(call, 0) > 0

    def behind(self, call: Call, held: int) -> list[Hashable]:
        """Walk the blocks that the host has behind those of the GPU."""
        found: list[Hashable] = []
        block = held
        while (
            self.config.enable_prefix_caching
            and (block + 1) * self.config.block_size <= call.tokens
            and self.path(call, block) in self.kept
        ):
            found.append(self.path(call, block))
            block += 1
        return found

    def offer(self, call: Call) -> None:
        """Write the call's new full blocks to the host, or none of them."""
        start, end = self.offered.get(call, 0), call.done // self.config.block_size
        names = [self.path(call, block) for block in range(start, end)]
        if not names:
            return
        self.touched.setdefault(call, set()).update(range(start, end))
        busy = self.on_the_way()
        missing = [name for name in names if name not in self.kept]
        over = len(self.kept) + len(missing) - self.memory.blocks
        victims = [one for one in self.kept if one not in busy and one not in names][: max(0, over)]
        if len(victims) < over:
            return
        self.kept = [one for one in self.kept if one not in victims] + missing
        self.offered[call] = end

    def end(self, call: Call) -> None:
        """Take a finished call out."""
        if call in self.running:
            self.running.remove(call)
        else:
            self.waiting.remove(call)
        self.give(call)
        self.over.append(call)


def serve(
    engine: SlowOffloader, requests: Sequence[Request], seconds: Callable[[Batch], float]
) -> list[Call]:
    """Serve everything."""
    calls = [Call(at, one, one.input_tokens) for at, one in enumerate(requests)]
    coming = sorted(calls, key=lambda call: call.request.arrival_s)
    planned: list[Plan] = []
    while True:
        while coming and coming[0].request.arrival_s <= engine.now:
            engine.waiting.append(coming.pop(0))
        while len(planned) < (2 if engine.config.async_scheduling else 1):
            step = engine.plan()
            engine.begin(engine.now + sum(seconds(batch) for batch, _ in planned))
            if step is None:
                break
            planned.append(step)
        if not planned:
            moments = [one.request.arrival_s for one in coming[:1]]
            moments += [end for _, _, end in engine.copying]
            if not moments:
                return calls
            engine.now = min(moments)
            continue
        batch, emitting = planned.pop(0)
        engine.now += seconds(batch)
        for call, life in emitting:
            if life != call.life:
                assert engine.owed(call)
                engine.late[call] -= 1
                call.tokens += 1
            call.out += 1
            call.first = call.first or engine.now
            if call.out == call.request.output_tokens:
                call.last = engine.now
                engine.end(call)
