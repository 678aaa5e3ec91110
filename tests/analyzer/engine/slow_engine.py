"""vLLM's engine told again, slowly: every step on its own, blocks in plain lists.

Several engines may run their steps together, as data-parallel ranks do.

The simulation must agree with it to the last bit; it shares no code with it but the step times.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace

from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk

Name = tuple[Hashable, ...]
Plan = tuple[Batch, list[tuple["Call", int]]]


@dataclass(eq=False)
class Call:
    """A request in the engine."""

    number: int
    request: Request
    tokens: int
    done: int = 0
    out: int = 0
    blocks: list[int] = field(default_factory=list)
    life: int = 0
    draft: int = 0
    gain: int = 1
    first: float = 0.0
    last: float = 0.0
    cached: int | None = None


class SlowEngine:
    """Runs step by step."""

    def __init__(self, config: SchedulerConfig, blocks: int) -> None:
        self.config = config
        self.free = list(range(blocks))
        self.names: dict[int, Name] = {}
        self.since: list[int] = []
        """named blocks, in the order in which they got their names"""
        self.users = [0] * blocks
        self.running: list[Call] = []
        self.waiting: list[Call] = []
        self.preemptions = 0

    def plan(self) -> Plan | None:
        """Plan one step."""
        budget = self.config.max_num_batched_tokens
        work, preempted = self.plan_running(budget)
        budget -= sum(new for _, new, _ in work)
        while (
            not preempted
            and self.waiting
            and budget
            and len(self.running) < self.config.max_num_seqs
        ):
            call = self.waiting[0]
            hits = self.hits(call)
            whole = self.places(call.tokens) - len(hits)
            if whole + sum(not self.users[block] for block in hits) > len(self.free):
                break
            self.waiting.pop(0)
            for block in hits:
                self.users[block] += 1
                if block in self.free:
                    self.free.remove(block)
            call.blocks, call.done = list(hits), len(hits) * self.config.block_size
            if call.cached is None:
                call.cached = call.done
            new = min(budget, call.tokens - call.done)
            assert self.fill(call, new)
            self.name(call, call.done + new)
            self.running.append(call)
            work.append((call, new, False))
            budget -= new
        if not work:
            return None
        emitting = []
        contexts = [call.done + new for call, new, decodes in work if decodes]
        drafts = sum(new - 1 for _, new, decodes in work if decodes)
        chunks = tuple(Chunk(new, call.done) for call, new, decodes in work if not decodes)
        for call, new, decodes in work:
            call.done = min(call.done + new, call.tokens)
            if call.done == call.tokens:
                call.gain, call.draft = 1, 0
                if decodes and call.request.drafts is not None:
                    accepted = min(new - 1, int(call.request.drafts.accepted[call.out]))
                    call.gain = min(accepted + 1, call.request.output_tokens - call.out)
                call.tokens += call.gain
                call.done = call.tokens - 1
                emitting.append((call, call.life))
        longest = max(contexts, default=0)
        return Batch(chunks, len(contexts), sum(contexts), longest, drafts=drafts), emitting

    def plan_running(self, budget: int) -> tuple[list[tuple[Call, int, bool]], bool]:
        """Give tokens to running calls; tell whether one was preempted."""
        work: list[tuple[Call, int, bool]] = []
        preempted = False
        for call in list(self.running):
            if call not in self.running or not budget:
                continue
            if call.tokens - call.request.input_tokens >= call.request.output_tokens:
                continue
            decodes = call.tokens - call.done == 1
            new = min(budget, call.tokens - call.done + call.draft)
            while call in self.running and not self.fill(call, new):
                victim = self.running.pop()
                self.give(victim)
                victim.done, victim.life, victim.draft = 0, victim.life + 1, 0
                victim.tokens = victim.request.input_tokens + victim.out
                self.waiting.insert(0, victim)
                self.preemptions += 1
                preempted = True
            if call in self.running:
                self.name(call, call.done + new)
                work.append((call, new, decodes))
                budget -= new
        return work, preempted

    def places(self, tokens: int) -> int:
        """Count the blocks of so many tokens."""
        return (tokens + self.config.block_size - 1) // self.config.block_size

    def path(self, call: Call, block: int) -> Hashable:
        """Name a full block."""
        known = call.request.digests
        return known[block] if block < len(known) else ("own", call.number, block)

    def hits(self, call: Call) -> list[int]:
        """Walk the cached blocks; the last token is always computed."""
        found: list[int] = []
        block = 0
        while (
            self.config.enable_prefix_caching and (block + 1) * self.config.block_size < call.tokens
        ):
            wanted = (self.path(call, block),)
            holder = next((one for one in self.since if self.names[one] == wanted), None)
            if holder is None:
                break
            found.append(holder)
            block += 1
        return found

    def fill(self, call: Call, new: int) -> bool:
        """Take the blocks of so many new tokens, or tell that there are too few."""
        missing = self.places(call.done + new) - len(call.blocks)
        if missing > len(self.free):
            return False
        for _ in range(missing):
            block = self.free.pop(0)
            if self.names.pop(block, None) is not None:
                self.since.remove(block)
            self.users[block] = 1
            call.blocks.append(block)
        return True

    def name(self, call: Call, tokens: int) -> None:
        """Name the blocks that so many tokens fill."""
        if not self.config.enable_prefix_caching:
            return
        for at in range(min(tokens, call.tokens) // self.config.block_size):
            block = call.blocks[at]
            if block not in self.names:
                self.names[block] = (self.path(call, at),)
                self.since.append(block)

    def give(self, call: Call) -> None:
        """Free a call's blocks, the last one first; nameless ones go to the front."""
        for block in reversed(call.blocks):
            self.users[block] -= 1
            if self.users[block]:
                continue
            if block in self.names:
                self.free.append(block)
            else:
                self.free.insert(0, block)
        call.blocks = []


def serve(
    engines: Sequence[SlowEngine], requests: Sequence[Request], seconds: Callable[[Batch], float]
) -> list[Call]:
    """Serve everything; a call goes to the engine with the fewest, in turn where they tie."""
    calls = [Call(at, one, one.input_tokens) for at, one in enumerate(requests)]
    coming = sorted(calls, key=lambda call: call.request.arrival_s)
    given: list[list[Call]] = [[] for _ in engines]
    turn = 0
    planned: list[list[Plan | None]] = []
    now = 0.0
    while True:
        while coming and coming[0].request.arrival_s <= now:
            call = coming.pop(0)
            loads = [
                sum(not one.last or one.last > call.request.arrival_s for one in mine)
                for mine in given
            ]
            while loads[turn % len(engines)] > min(loads):
                turn += 1
            given[turn % len(engines)].append(call)
            engines[turn % len(engines)].waiting.append(call)
            turn = turn % len(engines) + 1
        while len(planned) < (2 if engines[0].config.async_scheduling else 1):
            step = [engine.plan() for engine in engines]
            if not any(step):
                break
            planned.append(step)
        if not planned:
            if not coming:
                return calls
            now = coming[0].request.arrival_s
            continue
        step = planned.pop(0)
        tokens = sum(part[0].tokens for part in step if part)
        now += max(
            seconds(replace(part[0], elsewhere=tokens - part[0].tokens)) for part in step if part
        )
        for engine, part in zip(engines, step, strict=True):
            for call, life in part[1] if part else ():
                if life != call.life:
                    continue
                call.out += call.gain
                call.first = call.first or now
                if call.out == call.request.output_tokens:
                    call.last = now
                    engine.running.remove(call)
                    engine.give(call)
                elif call.request.drafts is not None:
                    call.draft = int(call.request.drafts.drafted[call.out])
