"""SGLang's engine told again, slowly: its event loops, every step and token on its own.

The simulation must agree with it to the last bit; it shares no code with it but the step times.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.sglang_scheduler import SglangConfig
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk

Token = tuple[Hashable, ...]


@dataclass(eq=False)
class Twig:
    """A node of the tree."""

    tokens: list[Token]
    above: "Twig | None"
    below: list["Twig"] = field(default_factory=list)
    locks: int = 0
    time: int = 0


@dataclass(eq=False)
class Call:
    """A request in the engine."""

    number: int
    request: Request
    fill: int
    """tokens of the prompt, and of the output before a retraction"""
    twig: Twig
    prefix: int = 0
    """tokens whose KV is computed"""
    mine: int = 0
    """tokens that are the tree's"""
    length: int = 0
    out: int = 0
    seen: int = 0
    """output tokens of planned steps"""
    life: int = 0
    first: float = 0.0
    last: float = 0.0
    cached: int | None = None
    retracted: int = 0


@dataclass
class Launched:
    """A batch and what it is to give."""

    calls: list[Call]
    lives: list[int]
    giving: list[bool]
    end: float
    prefill: bool


@dataclass
class Adder:
    """A prefill step in the making."""

    page: int
    promised: float
    steps: int
    chunk: int | None
    taken: int = 0
    chosen: list[tuple[Call, int]] = field(default_factory=list)

    def take(self, call: Call, new: int, output: int) -> None:
        """Add so many tokens of a call."""
        pages = -(-new // self.page) * self.page
        self.promised += pages + self.page + output
        self.taken += pages + self.page
        self.steps -= pages
        self.chunk = None if self.chunk is None else self.chunk - pages
        self.chosen.append((call, new))


class SlowSglang:
    """Runs step by step."""

    def __init__(self, config: SglangConfig, pages: int) -> None:
        self.config, self.page = config, config.page_size
        self.size = pages * self.page
        self.cold = Twig([], None)
        self.time = self.passes = self.decodes = self.retractions = 0
        self.waiting: list[Call] = []
        self.running: list[Call] = []
        self.rows: list[Call] = []
        self.chunked: Call | None = None
        self.full = False
        self.start = self.highest = min(0.7 * config.schedule_conservativeness, 1.0)
        self.lowest = min(self.highest * 0.14, 1.0)

    # the tree

    def tokens(self, call: Call, count: int) -> list[Token]:
        """Name tokens: equal names mean an equal prefix."""
        size = call.request.digest_tokens or self.page
        known: list[Token] = [(one, at) for one in call.request.digests for at in range(size)]
        known = known[: call.request.input_tokens]
        return [*known, *((call.number, at) for at in range(len(known), count))][:count]

    def twigs(self) -> list[Twig]:
        """List all nodes but the root."""
        found = [self.cold]
        for twig in found:
            found += twig.below
        return found[1:]

    def touch(self, twig: Twig) -> None:
        """Mark a node as used just now."""
        self.time += 1
        twig.time = self.time

    def walk(self, tokens: list[Token]) -> tuple[Twig, int]:
        """Follow tokens in whole pages, splitting where they leave a node."""
        at, twig = 0, self.cold
        tokens = tokens[: len(tokens) // self.page * self.page]
        while True:
            ahead = tokens[at : at + self.page]
            child = next((one for one in twig.below if one.tokens[: self.page] == ahead), None)
            if not ahead or child is None:
                return twig, at
            same = 0
            while (
                same < len(child.tokens)
                and child.tokens[same : same + self.page]
                == tokens[at + same : at + same + self.page]
            ):
                same += self.page
            if same < len(child.tokens):
                upper = Twig(child.tokens[:same], twig, [child], child.locks)
                child.tokens, child.above = child.tokens[same:], upper
                twig.below[twig.below.index(child)] = upper
                self.touch(child)
                child = upper
            self.touch(child)
            twig, at = child, at + same

    def insert(self, tokens: list[Token]) -> Twig:
        """Add tokens in whole pages."""
        twig, at = self.walk(tokens)
        rest = tokens[at : len(tokens) // self.page * self.page]
        if rest:
            leaf = Twig(rest, twig)
            twig.below.append(leaf)
            self.touch(leaf)
            return leaf
        return twig

    def lock(self, twig: Twig, change: int) -> None:
        """Lock or unlock a path."""
        at: Twig | None = twig
        while at is not None:
            at.locks += change
            at = at.above

    def avail(self) -> int:
        """Count free tokens."""
        owned = sum(-(-one.length // self.page) * self.page - one.mine for one in self.rows)
        return self.size - owned - sum(len(one.tokens) for one in self.twigs())

    def room(self) -> int:
        """Count tokens that are free or could be."""
        return self.avail() + sum(len(one.tokens) for one in self.twigs() if not one.locks)

    def evict(self, tokens: int) -> None:
        """Evict leaf after leaf until so many tokens are free."""
        while self.avail() < tokens:
            leaves = [one for one in self.twigs() if not one.below and not one.locks]
            if not leaves:
                return
            oldest = min(leaves, key=lambda one: one.time)
            assert oldest.above is not None
            oldest.above.below.remove(oldest)

    def publish(self, call: Call, count: int) -> None:
        """Hand computed tokens to the tree."""
        if self.config.disable_radix_cache:
            return
        tokens, prompt = self.tokens(call, count), call.request.input_tokens
        twig = self.insert(tokens)
        if 0 < prompt // self.page < count // self.page:
            self.insert(tokens[:prompt])
        self.lock(call.twig, -1)
        self.lock(twig, 1)
        call.twig, call.mine = twig, count // self.page * self.page

    def release(self, call: Call) -> None:
        """Give a row back."""
        if not self.config.disable_radix_cache:
            self.lock(call.twig, -1)
        self.rows.remove(call)
        call.twig, call.mine, call.length, call.prefix = self.cold, 0, 0, 0

    # the scheduler

    def ratio(self) -> float:
        """Give the new-token ratio."""
        fall = (self.highest - self.lowest) / 600
        return max(self.start - self.decodes * fall, self.lowest)

    def allowed(self, call: Call) -> int:
        """Give the output tokens a call may have."""
        prompt = -(-call.request.input_tokens // self.page) * self.page
        asked = max(call.request.allowed_tokens or 0, call.request.output_tokens)
        return min(asked, self.size - prompt - self.page - 1)

    def ends(self, call: Call) -> bool:
        """Tell whether its last token is on its way."""
        return call.seen >= call.request.output_tokens

    def prefill(self) -> list[tuple[Call, int]]:
        """Choose prompts to read."""
        if not self.running:
            self.full = False
        if (self.full or not self.waiting) and not self.chunked:
            return []
        if len(self.rows) >= self.config.max_running_requests and not self.chunked:
            self.full = True
            return []
        if self.waiting and not self.config.disable_radix_cache:
            if self.passes % 32 == 0:
                for call in reversed(self.waiting[:128]):
                    self.walk(self.tokens(call, call.fill))
            self.passes += 1
        promised = sum(
            min(max(self.allowed(one) - one.out, 0), 4096)
            * (1.0 if one.request.forced else self.ratio())
            for one in self.running
        )
        config = self.config
        adder = Adder(self.page, promised, config.max_prefill_tokens, config.chunked_prefill_size)
        if self.chunked:
            assert adder.chunk is not None
            call, limit = self.chunked, min(adder.chunk, int(self.room() - promised))
            new = min(call.fill - call.prefix, limit if limit > 0 else adder.chunk)
            done = call.prefix + new == call.fill
            adder.take(call, new, min(self.allowed(call), 4096) if done else 0)
            self.chunked = None if done else call
        held = len(adder.chosen)
        self.admit(adder, held)
        self.rows += [call for call, _ in adder.chosen[held:]]
        return adder.chosen

    def admit(self, adder: Adder, held: int) -> None:
        """Add waiting calls."""
        for call in list(self.waiting):
            if self.room() > adder.promised and (
                adder.steps <= 0 or (adder.chunk is not None and adder.chunk <= 0)
            ):
                return
            running = len(adder.chosen) - held + len(self.rows)
            self.full = self.full or running >= self.config.max_running_requests
            if self.full:
                return
            verdict = self.consider(call, adder)
            if isinstance(verdict, str):
                if verdict == "no token":
                    self.full = bool(adder.chosen or self.running)
                return
            hit, new = verdict
            call.prefix = call.length = call.mine = hit
            call.cached = hit if call.cached is None else call.cached
            self.waiting.remove(call)
            done = hit + new == call.fill
            adder.take(call, new, min(self.allowed(call), 4096) if done else 0)
            if not done:
                self.chunked = call
            if self.room() <= adder.promised:
                self.full = True
                return

    def consider(self, call: Call, adder: Adder) -> tuple[int, int] | str:
        """Say what a waiting call finds cached and how much of it is read, or why it is not."""
        hit = 0
        if not self.config.disable_radix_cache:
            call.twig, hit = self.walk(self.tokens(call, call.fill)[: call.fill - 1])
            self.lock(call.twig, 1)
        new, verdict, chunk = call.fill - hit, "", adder.chunk
        pages = -(-new // self.page) * self.page
        output = min(max(self.allowed(call) - call.out, 0), 4096)
        if call.request.forced and self.config.disable_radix_cache:
            if not self.outlives(call, adder, pages + self.page):
                return "no token"
            return hit, new if chunk is None else min(new, chunk)
        if new + output + self.page >= self.room() - adder.promised:
            verdict = "no token"
        elif chunk is None and adder.chosen and pages >= adder.steps:
            verdict = "other"
        elif chunk is not None and pages > chunk:
            new = (hit + chunk // self.page * self.page) // self.page * self.page - hit
            verdict = "" if new > 0 else "other"
        if verdict:
            if not self.config.disable_radix_cache:
                self.lock(call.twig, -1)
            return verdict
        return hit, new

    def outlives(self, call: Call, adder: Adder, needed: int) -> bool:
        """Tell whether the pages last until each call has ended."""
        if needed > min(self.room() - adder.taken, self.room() - adder.promised):
            return False
        states = []
        for one in [call, *self.running, *(other for other, _ in adder.chosen)]:
            left = self.allowed(one) * (1.0 if one.request.forced else self.ratio()) - one.out
            if left > 0:
                states.append((left, one.request.input_tokens + one.out))
        states.sort(key=lambda state: state[0])
        free = self.room() - adder.taken - needed
        while states:
            left, held = states[0]
            if free - left * len(states) <= len(states):
                return False
            free += held
            states.pop(0)
        return True

    def plan(self, last: Launched | None) -> tuple[Batch, Launched] | None:
        """Choose the next batch."""
        if not (self.waiting or self.rows):
            self.start, self.decodes = self.highest, 0
        if self.chunked:
            self.publish(self.chunked, self.chunked.prefix)
            self.full = False
        if last and last.prefill:
            done = [one for one in last.calls if one in self.rows]
            if len(done) < len(last.calls):
                self.full = False
            self.running += [one for one in done if one is not self.chunked]
        before = len(self.running)
        self.running = [one for one in self.running if one in self.rows]
        if len(self.running) < before:
            self.full = False
        chosen = self.prefill()
        if chosen:
            spare = self.page if self.page > 1 else 0
            self.evict(sum(new + spare for _, new in chosen))
            chunks = tuple(Chunk(new, call.prefix) for call, new in chosen)
            for call, new in chosen:
                call.prefix += new
                call.length = call.prefix
            giving = [call.prefix == call.fill for call, _ in chosen]
            for (call, _), gives in zip(chosen, giving, strict=True):
                call.seen += gives
            calls = [call for call, _ in chosen]
            return Batch(chunks), Launched(calls, [c.life for c in calls], giving, 0.0, True)
        return self.plan_decode()

    def plan_decode(self) -> tuple[Batch, Launched] | None:
        """Let running calls go on."""
        ending = [one for one in self.running if self.ends(one)]
        if ending:
            self.running = [one for one in self.running if not self.ends(one)]
            self.full = False
        if not self.running:
            return None
        if self.decodable(self.running):
            self.decodes += 1
        elif ending:
            return None
        else:
            self.retract()
        self.evict(self.page * len(self.running))
        contexts = []
        for call in self.running:
            call.length += 1
            call.seen += 1
            contexts.append(call.length)
        calls = list(self.running)
        batch = Batch((), len(calls), sum(contexts), max(contexts))
        return batch, Launched(calls, [c.life for c in calls], [True] * len(calls), 0.0, False)

    def decodable(self, calls: list[Call]) -> bool:
        """Tell whether the next tokens of calls find places."""
        needed = sum(self.page for one in calls if one.length % self.page == 0)
        self.evict(needed)
        return self.avail() >= needed

    def retract(self) -> None:
        """Take calls out of the running ones."""
        order = sorted(
            self.running, key=lambda one: (one.out, -one.request.input_tokens), reverse=True
        )
        begun = False
        while (not begun or not self.decodable(order)) and len(order) > 1:
            begun = True
            call = order.pop()
            self.release(call)
            self.evict(20 * len(order))
            call.fill, call.seen = call.request.input_tokens + call.out, call.out
            call.life += 1
            call.retracted += 1
            self.retractions += 1
            self.waiting.append(call)
        self.running = order
        self.full = False
        expected = sum(one.out for one in order) + 20 * len(order)
        self.start = min(1.0, expected / (sum(map(self.allowed, order)) + 1))
        self.decodes = 0

    def process(self, launched: Launched, now: float) -> None:
        """Hand out the tokens of a batch."""
        for call, life, gives in zip(launched.calls, launched.lives, launched.giving, strict=True):
            if life != call.life or not gives:
                continue
            call.out += 1
            call.first = call.first or now
            if call.out == call.request.output_tokens:
                call.last = now
                self.publish(call, call.length)
                self.release(call)
            elif launched.prefill:
                self.publish(call, call.fill)

    def serve(self, requests: Sequence[Request], seconds: Callable[[Batch], float]) -> list[Call]:
        """Serve everything in one of SGLang's event loops."""
        calls = [Call(at, one, one.input_tokens, self.cold) for at, one in enumerate(requests)]
        coming = sorted(calls, key=lambda call: call.request.arrival_s)
        overlaps = not self.config.disable_overlap_schedule
        last: Launched | None = None
        now = device_free = 0.0
        while not all(call.last for call in calls):
            while coming and coming[0].request.arrival_s <= now:
                self.waiting.append(coming.pop(0))
            planned = self.plan(last)
            launched = None
            if planned is not None:
                batch, launched = planned
                device_free = max(now, device_free) + seconds(batch)
                launched.end = device_free
                if self.config.on_cpu or not overlaps:
                    now = device_free
            if not overlaps and launched:
                self.process(launched, now)
            elif overlaps and last:
                now = max(now, last.end)
                self.process(last, now)
            elif not launched:
                assert coming, "nobody can go on"
                now = max(now, coming[0].request.arrival_s)
            last = launched
        return calls
