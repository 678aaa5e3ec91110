"""vLLM's scheduler with a tier of KV blocks in host memory (`--kv-offloading-size`).

Rules besides those of `loading_scheduler` and `host_tier` (vLLM 0.32, OffloadingConnector):
- every full block is written to the host when its tokens are scheduled, also those of outputs;
- a sequence whose blocks are being loaded for another one waits.

Writing to the host is not waited for: a GPU computes KV slower than its link takes it away.
"""

from dataclasses import dataclass, field

from phasewise_analyzer.engine.schedulers.host_tier import HostMemory, HostTier
from phasewise_analyzer.engine.schedulers.loading_scheduler import LoadingScheduler
from phasewise_analyzer.engine.schedulers.scheduler import Scheduled
from phasewise_analyzer.engine.schedulers.sequence import Sequence
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig


@dataclass(frozen=True, slots=True)
class OffloadingConfig(SchedulerConfig):
    """Flags of vLLM, and the host memory that they ask for."""

    host: HostMemory = field(kw_only=True)

    def scheduler(self, blocks: int | None) -> "OffloadingScheduler":
        """Make a scheduler with so many KV blocks on the GPU."""
        return OffloadingScheduler(self, blocks)


@dataclass(slots=True)
class _Offloaded:
    """What the host tier knows of a sequence."""

    offered: int = 0
    """blocks that were offered, or came from there"""
    used: set[int] = field(default_factory=set)
    """places of the blocks that it offered or loaded"""
    loading: list[int] = field(default_factory=list)


class OffloadingScheduler(LoadingScheduler):
    """The scheduler with its host tier."""

    def __init__(self, config: OffloadingConfig, blocks: int | None) -> None:
        host = config.host
        super().__init__(config, blocks, link=host.link, block_bytes=host.block_bytes)
        self._host = HostTier(host.blocks)
        self._known: dict[Sequence, _Offloaded] = {}
        self._ended: list[Sequence] = []

    def schedule(self) -> Scheduled | None:
        """Plan the next step; see `Scheduler.schedule`."""
        planned = super().schedule()
        if planned is not None:
            in_step = {*planned.reading, *(sequence for sequence, _ in planned.decoding)}
            for sequence in self.running:
                if sequence in in_step:
                    self._offer(sequence, sequence.computed // self.config.block_size)
        for sequence in self._ended:
            known = self._known.pop(sequence)
            self._host.use(self._ids(sequence)[sorted(known.used, reverse=True)].tolist())
        self._ended.clear()
        return planned

    def finish(self, sequence: Sequence) -> None:
        """Take a finished sequence out and free its blocks."""
        super().finish(sequence)
        self._ended.append(sequence)

    def advance(self, steps: int) -> None:
        """Plan so many steps at once that decode every running sequence."""
        size = self.config.block_size
        before = [sequence.computed for sequence in self.running]
        super().advance(steps)
        filled = sorted(
            (end - computed, order, end // size)
            for order, computed in enumerate(before)
            for end in range((computed // size + 1) * size, computed + steps + 1, size)
        )
        for _, order, full in filled:
            self._offer(self.running[order], full)

    def _elsewhere(self, sequence: Sequence, held: int) -> int | None:
        found = self._in_host(sequence, held)
        return None if self._host.is_loading(found) else len(found)

    def _begun(self, sequence: Sequence, held: int, count: int) -> None:
        if not sequence.served.preemptions:
            sequence.served.cached_tokens = sequence.computed
            sequence.served.host_cached_tokens = count * self.config.block_size
        known = self._known.setdefault(sequence, _Offloaded())
        known.loading = self._in_host(sequence, held)
        known.offered = held + count
        known.used.update(range(held, held + count))
        self._host.load(known.loading)

    def _came(self, sequence: Sequence) -> None:
        self._host.loaded(self._known[sequence].loading)

    def _in_host(self, sequence: Sequence, held: int) -> list[int]:
        """Return the blocks behind those on the GPU that the host has."""
        if not self.config.enable_prefix_caching:
            return []
        full = sequence.total // self.config.block_size
        return self._host.hits(self._ids(sequence)[held:full].tolist())

    def _offer(self, sequence: Sequence, full: int) -> None:
        """Offer the blocks up to a place that were not kept yet."""
        known = self._known.setdefault(sequence, _Offloaded())
        if full <= known.offered:
            return
        known.used.update(range(known.offered, full))
        if self._host.offer(self._ids(sequence)[known.offered : full].tolist()):
            known.offered = full
