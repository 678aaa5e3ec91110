"""A vLLM server that is measured: what it says of its times, and its limits.

Times are vLLM's own, from its `/metrics`: the client sees tokens late and in bursts.

A server that logs its steps (`logged`) tells more than these counters.

prefill  the prefill time of a prompt alone
decode   the mean time between tokens, from when all sequences have started
mixed    the prefill time of prompts that are read while sequences decode; they end before these do
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from phasewise_analyzer.engine.deployments.calibration import Config
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.speculation.config import SpeculationConfig, parse
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_analyzer.engine.step_times.fitted_steps import KINDS
from phasewise_analyzer.engine.step_times.kernel_preparation import Preparation, PreparedKernels
from phasewise_analyzer.engine.step_times.step_fit import MeasuredStep
from phasewise_store.errors import EngineError, UsageError

from phasewise_replay.calibration.probes import (
    BURST_DECODED,
    DECODED,
    INJECTED,
    MIXED_DECODED,
    BurstProbe,
    DecodeProbe,
    MixedProbe,
    PrefillProbe,
    Probe,
)
from phasewise_replay.calibration.sending import Sender, busy, disturbed
from phasewise_replay.client.streamed_response import TimedAnswer
from phasewise_replay.engine import Resolved
from phasewise_replay.engines import prometheus

PREFILL = "vllm:request_prefill_time_seconds"
GAPS = "vllm:inter_token_latency_seconds"
LOADS = ("vllm:num_requests_running", "vllm:num_requests_waiting")
SERVED = "vllm:request_success_total"
PATIENCE_S = 60.0
DEFAULTS = SchedulerConfig(max_num_batched_tokens=2048, max_num_seqs=128)
"""where the server does not tell: it does so in development mode only (VLLM_SERVER_DEV_MODE=1)"""
SCHEDULER = "scheduler_config."
DEVICE = "device_config.device"
SPECULATION = "speculative_config."
DRAFTS = {
    "ngram": ("num_speculative_tokens", "prompt_lookup_min", "prompt_lookup_max"),
    "suffix": (
        "num_speculative_tokens",
        "suffix_decoding_max_tree_depth",
        "suffix_decoding_max_cached_requests",
        "suffix_decoding_max_spec_factor",
        "suffix_decoding_min_token_prob",
    ),
}
"""by method, the settings that drafts depend on"""


@dataclass(frozen=True, slots=True)
class Clock:
    """What the server has counted so far."""

    prefills: float
    prefill_s: float
    gaps: float
    gaps_s: float


class VllmSubject:
    """One vLLM server; raises UsageError where it is busy, or does not say whether it is."""

    engine = "vllm"
    kinds = KINDS
    step_settings: Sequence[str] = (
        "model_config.dtype",
        "model_config.quantization",
        "model_config.enforce_eager",
        "cache_config.cache_dtype",
        "parallel_config.tensor_parallel_size",
        "parallel_config.data_parallel_size",
        "parallel_config.pipeline_parallel_size",
        DEVICE,
    )

    def __init__(self, sender: Sender, described: Resolved) -> None:
        _refuse_busy(sender)
        self.sender = sender
        self.front_s: list[tuple[int, float]] = []
        self.preparing_s: list[float] = []
        self.speculation = _speculation(described)
        self._prepares = described.settings.get(DEVICE) == "cpu"
        self._prepared = PreparedKernels(Preparation(seconds=1.0))
        limits = _config(described)
        self.config: Config = limits
        self.sequences = limits.max_num_seqs
        self._served = self._served_requests()

    def refuse_disturbed(self) -> None:
        """Raise UsageError where it has served more requests than were sent."""
        before, now = self._served, self._served_requests()
        if before is not None and (now or 0) - before > self.sender.sent:
            raise disturbed()

    def run(self, probe: Probe) -> MeasuredStep | None:
        """Run a probe; None where its steps could not be told apart."""
        if isinstance(probe, PrefillProbe):
            return self._prefill(probe)
        if isinstance(probe, DecodeProbe):
            return self._decode(probe)
        if isinstance(probe, BurstProbe):
            self._burst(probe)
            return None
        return self._mixed(probe)

    def _prefill(self, probe: PrefillProbe) -> MeasuredStep | None:
        """Read a prompt alone; twice where the first one prepares kernels, which is not fitted."""
        new = self._prepares and self._prepared.missing_s(probe.new) > 0
        found = self._lone(probe)
        if not self._prepares or found is None:
            return found
        again = self._lone(probe)
        if new and again is not None and again.batch == found.batch:
            self.preparing_s.append(found.seconds - again.seconds)
        return again

    def _lone(self, probe: PrefillProbe) -> MeasuredStep | None:
        prompt = self.sender.prompt(probe.cached + probe.new)
        if probe.cached:
            self._send(prompt[: probe.cached])
        before = self._clock()
        self._prepared.keep(probe.new)
        answer = self.sender.send(prompt, 1)
        seconds = self._clock().prefill_s - before.prefill_s
        if seconds <= 0:
            return None
        beyond_s = (answer.token_ns()[0] - answer.begin_ns) / 1e9 - seconds
        self.front_s.append((len(prompt), beyond_s))
        return MeasuredStep(Batch((_chunk(prompt, answer),)), seconds)

    def _decode(self, probe: DecodeProbe) -> MeasuredStep | None:
        prompts = self._cached_prompts(probe.count, probe.context)
        with self._decoding(prompts, DECODED) as ended:
            before = self._clock()
            ended()
            after = self._clock()
        gaps = after.gaps - before.gaps
        if gaps < probe.count * DECODED / 2:
            return None  # the sequences did not run at the same time
        context = probe.count * (probe.context + DECODED / 2)
        return MeasuredStep(_decodes(probe.count, context), (after.gaps_s - before.gaps_s) / gaps)

    def _mixed(self, probe: MixedProbe) -> MeasuredStep | None:
        prompts = self._cached_prompts(probe.count, probe.context)
        injected = [self.sender.prompt(probe.cached + probe.new) for _ in range(INJECTED)]
        for prompt in injected if probe.cached else ():
            self._send(prompt[: probe.cached])
        self._prepared.keep(probe.new + probe.count)
        first, *counted = injected
        with self._decoding(prompts, MIXED_DECODED):
            self.sender.send(first, 1)
            before = self._clock()
            answers = [self.sender.send(prompt, 1) for prompt in counted]
            after = self._clock()
        if after.prefills - before.prefills != len(counted):
            return None  # a sequence had ended by then
        context = probe.count * (probe.context + MIXED_DECODED / 2)
        batch = replace(_decodes(probe.count, context), chunks=(_chunk(counted[0], answers[0]),))
        return MeasuredStep(batch, (after.prefill_s - before.prefill_s) / len(counted))

    def _burst(self, probe: BurstProbe) -> None:
        """Have prompts arrive together; what its steps are is in the step log only."""
        running = self._cached_prompts(probe.count, probe.context)
        prompts = [self.sender.prompt(probe.new) for _ in range(probe.prompts)]
        with (
            self._decoding(running, MIXED_DECODED),
            ThreadPoolExecutor(len(prompts)) as pool,
        ):
            list(pool.map(lambda prompt: self.sender.send(prompt, BURST_DECODED), prompts))

    @contextmanager
    def _decoding(
        self, prompts: Sequence[Sequence[int]], output: int
    ) -> Iterator[Callable[[], object]]:
        """Run sequences; the block starts when all of them have, and is given how to wait."""
        started = threading.Semaphore(0)
        with ThreadPoolExecutor(len(prompts)) as pool:
            running = [
                pool.submit(self.sender.send, prompt, output, started.release) for prompt in prompts
            ]
            if not all(started.acquire(timeout=PATIENCE_S) for _ in prompts):
                for one in running:
                    one.result()  # its error says more
                raise EngineError(f"a probe did not start within {PATIENCE_S:.0f} s")
            yield lambda: [one.result() for one in running]
            for one in running:
                one.result()

    def _cached_prompts(self, count: int, context: int) -> list[list[int]]:
        """Have the server cache so many prompts, so that their sequences start together."""
        prompts = [self.sender.prompt(context) for _ in range(count)]
        for prompt in prompts:
            self._send(prompt)
        return prompts

    def _send(self, prompt: Sequence[int]) -> None:
        """Have the server cache a prompt."""
        self._prepared.keep(len(prompt))
        self.sender.send(prompt, 1)

    def _served_requests(self) -> float | None:
        samples = prometheus.parse(self.sender.client.text("/metrics") or "")
        return prometheus.total(samples, SERVED)

    def _clock(self) -> Clock:
        """Read the server's counters."""
        samples = prometheus.parse(self.sender.client.text("/metrics") or "")
        counts = [
            prometheus.total(samples, f"{name}_{part}")
            for name in (PREFILL, GAPS)
            for part in ("count", "sum")
        ]
        return Clock(*(count or 0.0 for count in counts))


def _chunk(prompt: Sequence[int], answer: TimedAnswer) -> Chunk:
    cached = answer.answer.cached_tokens or 0
    return Chunk(len(prompt) - cached, cached)


def _decodes(count: int, context: float) -> Batch:
    return Batch(decodes=count, context=round(context), longest=round(context / count))


def _refuse_busy(sender: Sender) -> None:
    samples = prometheus.parse(sender.client.text("/metrics") or "")
    counts = [prometheus.total(samples, name) for name in LOADS]
    if all(count is None for count in counts):
        raise UsageError(
            "the server has no vLLM metrics at `/metrics`: whether it is idle, and what its "
            "steps take, cannot be told; `phasewise simulate` without a calibration uses "
            "kernel tables or the roofline"
        )
    load = sum(count or 0 for count in counts)
    if load:
        raise busy(load)


def _config(described: Resolved) -> SchedulerConfig:
    """Return the limits of the server's scheduler, as far as it tells."""
    if described.block_tokens is None:
        raise EngineError("the server does not say how many tokens a KV block has")

    def setting(name: str, default: int) -> int:
        value = described.settings.get(SCHEDULER + name)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    return SchedulerConfig(
        max_num_batched_tokens=setting("max_num_batched_tokens", DEFAULTS.max_num_batched_tokens),
        max_num_seqs=setting("max_num_seqs", DEFAULTS.max_num_seqs),
        block_size=described.block_tokens,
        enable_prefix_caching=described.prefix_caching is not False,
        async_scheduling=described.settings.get(SCHEDULER + "async_scheduling") is True,
    )


def _speculation(described: Resolved) -> SpeculationConfig | None:
    """Return how the server drafts.  Raises UsageError for a method that is not modelled."""
    method = described.settings.get(f"{SPECULATION}method")
    if method is None:
        return None
    names = DRAFTS.get(str(method), ())
    values = {name: described.settings.get(SPECULATION + name) for name in names}
    return parse(json.dumps({"method": method} | values))
