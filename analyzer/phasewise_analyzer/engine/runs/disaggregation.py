"""Prefill on some engines and decode on others, as vLLM disaggregates the two phases.

Rules (vLLM 0.32, NixlConnector, behind a proxy):
- a call is read on a prefill engine, which generates one token, that is not used; its blocks stay
  there until the decode engine has copied them, so that slow decode engines hold prefill back;
- the decode engine copies all blocks of the prompt that it has not cached itself, as it loads any
  blocks (`loading_scheduler`), computes the last prompt token again and generates the first token:
  the time to first token counts both queues, the prefill, the copy and that step;
- a copy takes a latency and bytes over the link; a decode engine copies one prompt after another;
- a call that a decode engine preempts computes its prompt again there.
"""

import math
from dataclasses import asdict, dataclass, field, replace

from phasewise_analyzer.engine.deployments.deployment import Deployment
from phasewise_analyzer.engine.not_modelled import NotModelledError
from phasewise_analyzer.engine.runs.engine_run import EngineRun
from phasewise_analyzer.engine.runs.fleet import Arrivals, EnginesInTime, give
from phasewise_analyzer.engine.runs.routers import LeastLoaded, RoundRobin, Router
from phasewise_analyzer.engine.schedulers.loading_scheduler import LoadingScheduler
from phasewise_analyzer.engine.schedulers.request import Served
from phasewise_analyzer.engine.schedulers.scheduler import Scheduled
from phasewise_analyzer.engine.schedulers.sequence import Sequence as Call
from phasewise_analyzer.engine.schedulers.transfers import Link, Transfers
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig, VllmScheduler

LATENCY_S = 1e-3
"""from asking for a copy to its first byte: an assumption, of the order of a request between two
machines"""


@dataclass(frozen=True, slots=True)
class KvCopy:
    """What a copy between two engines takes: each GPU copies its own part."""

    link: Link
    block_bytes: float
    """of one block on one GPU"""


@dataclass(frozen=True, slots=True)
class PrefillConfig(SchedulerConfig):
    """Flags of an engine that reads prompts."""

    def scheduler(self, blocks: int | None) -> "PrefillScheduler":
        """Make a scheduler with so many KV blocks."""
        return PrefillScheduler(self, blocks)


@dataclass(frozen=True, slots=True)
class DecodeConfig(SchedulerConfig):
    """Flags of an engine that generates, and what it copies over."""

    copy: KvCopy = field(kw_only=True)

    def scheduler(self, blocks: int | None) -> "DecodeScheduler":
        """Make a scheduler with so many KV blocks."""
        return DecodeScheduler(self, blocks)


class PrefillScheduler(VllmScheduler):
    """Keeps the blocks of prompts that were read until they are copied."""

    def __init__(self, config: PrefillConfig, blocks: int | None) -> None:
        super().__init__(config, blocks)
        self.copied = Transfers(Link(math.inf, 0.0))
        """copies from here, of which others decide when they end"""
        self.transfers = self.copied
        self._kept: list[Call] = []

    def schedule(self) -> Scheduled | None:
        """Plan the next step; blocks that were copied by now are free."""
        for call in [one for one in self._kept if self.copied.arrived(one)]:
            self.copied.forget(call)
            self._kept.remove(call)
            self.pool.release(call.blocks)
        return super().schedule()

    def finish(self, sequence: Call) -> None:
        """Take a call out that was read; its blocks stay."""
        self.running.remove(sequence)
        self._kept.append(sequence)

    def blocks_in_use(self) -> int:
        """Return the blocks that calls hold, and those that waiting prompts need."""
        return super().blocks_in_use() + sum(len(call.blocks) for call in self._kept)


class DecodeScheduler(LoadingScheduler):
    """Copies prompts that were read elsewhere."""

    def __init__(self, config: DecodeConfig, blocks: int | None) -> None:
        copy = config.copy
        super().__init__(config, blocks, link=copy.link, block_bytes=copy.block_bytes)

    def _elsewhere(self, sequence: Call, held: int) -> int | None:
        if sequence.served.preemptions:
            return 0
        return -(-sequence.request.input_tokens // self.config.block_size) - held

    def _begun(self, sequence: Call, held: int, count: int) -> None:
        """Nothing is known of a copy but its blocks."""

    def _came(self, sequence: Call) -> None:
        """Nothing is known of a copy but its blocks."""


class DisaggregatedEngines:
    """A fleet (see `fleet`) of prefill and decode engines.

    `router` chooses the prefill engine; the decode engine is the one with the fewest calls.
    """

    def __init__(
        self,
        engine: Deployment,
        *,
        prefill: int,
        decode: int,
        copy: KvCopy,
        router: Router | None = None,
    ) -> None:
        base = asdict(engine.config)
        self._prefill = _started(engine, PrefillConfig(**base), prefill)
        self._decode = _started(engine, DecodeConfig(**base, copy=copy), decode)
        self.engines = [*self._prefill, *self._decode]
        self._router, self._decode_router = router or RoundRobin(), LeastLoaded()
        self._arrivals = Arrivals(engine.front)
        self._time = EnginesInTime(self.engines)
        self._read: dict[Call, Call] = {}
        """by the call on a prefill engine, the call as a whole"""
        self._read_on: dict[Call, tuple[Call, EngineRun]] = {}
        """by the call as a whole, the one that was read, and where"""
        for one in self._decode:
            one.on_transfer(self._copied)

    def submit(self, call: Call) -> None:
        """Send a call; see `Fleet.submit`."""
        self._arrivals.send(call)

    def run(self, horizon_s: float = math.inf) -> list[Call]:
        """Run until calls finish; see `Fleet.run`."""
        while True:
            coming_s = self._arrivals.next_s
            ended = self._time.run(min(horizon_s, coming_s))
            finished = [call for call in ended if call not in self._read]
            for call in ended:
                if call in self._read:
                    self._hand_over(call)
            if finished:
                return finished
            if not ended:
                if coming_s > horizon_s or math.isinf(coming_s):
                    return []
                self._begin(self._arrivals.take())

    def _begin(self, call: Call) -> None:
        """Send a call to a prefill engine."""
        request = replace(call.request, output_tokens=1, drafts=None)
        reading = Call(call.index, request, Served(call.served.arrival_s), total=call.total)
        self._read[reading] = call
        self._read_on[call] = reading, give(reading, self._prefill, self._router, self._time)

    def _hand_over(self, reading: Call) -> None:
        """Send a call whose prompt was read to a decode engine."""
        call = self._read.pop(reading)
        served, read = call.served, reading.served
        served.cached_tokens, served.scheduled_s = read.cached_tokens, read.scheduled_s
        served.prefill_s, served.recompute_s = read.prefill_s, read.recompute_s
        call.request = replace(call.request, arrival_s=read.last_s)
        give(call, self._decode, self._decode_router, self._time)

    def _copied(self, call: Call, end_s: float) -> None:
        """Let a prefill engine free the blocks of a call when they are copied."""
        reading, engine = self._read_on.pop(call)
        engine.release_at(reading, end_s)


def _started(engine: Deployment, config: SchedulerConfig, count: int) -> list[EngineRun]:
    return [
        EngineRun(engine.times, config, blocks=engine.blocks, ranks=engine.ranks)
        for _ in range(count * engine.engines)
    ]


def kv_copy(engine: Deployment, bytes_s: float | None = None) -> KvCopy:
    """Return what copies between two such engines take, over their own link or one of `bytes_s`.

    Raises NotModelledError for an engine whose KV cache cannot be copied in the simulation.
    """
    plain = type(engine.config) is SchedulerConfig and engine.speculation is None
    if engine.kv is None or not plain:
        raise NotModelledError(
            f"the simulation does not disaggregate {engine.name}: it does so for vLLM without KV "
            "offload and speculation, with a shape and a GPU, and for models whose KV grows with "
            "every token"
        )
    return KvCopy(Link(bytes_s or engine.kv.link_bytes_s, LATENCY_S), engine.kv.block_bytes)
