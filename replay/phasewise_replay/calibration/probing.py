"""Runs probes on a server and turns what it says of their times into measured steps.

Every prompt is of token ids of its own, so that nothing is cached but what a probe caches first.
Times are vLLM's own, from its `/metrics`: the client sees tokens late and in bursts.

prefill  the prefill time of a prompt alone
decode   the mean time between tokens, from when all sequences have started
mixed    the prefill time of prompts that are read while sequences decode; they end before these do
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from phasewise_analyzer.engine.batch import Batch, Chunk
from phasewise_analyzer.engine.step_fit import MeasuredStep
from phasewise_store.errors import EngineError

from phasewise_replay import prometheus
from phasewise_replay.calibration.probes import (
    DECODED,
    INJECTED,
    MIXED_DECODED,
    DecodeProbe,
    MixedProbe,
    PrefillProbe,
    Probe,
)
from phasewise_replay.engine import Request
from phasewise_replay.openai_client import OpenAiClient, TimedAnswer

PREFILL = "vllm:request_prefill_time_seconds"
GAPS = "vllm:inter_token_latency_seconds"
PATIENCE_S = 60.0
BURSTS, BURST_TOKENS = 7, 8
FIRST_ID = 300
"""ids below are often special tokens"""


@dataclass(frozen=True, slots=True)
class Clock:
    """What the server has counted so far."""

    prefills: float
    prefill_s: float
    gaps: float
    gaps_s: float


class Prober:
    """Sends probes to one server."""

    def __init__(self, client: OpenAiClient, *, vocabulary: int) -> None:
        self.sent = 0
        self.front_s: list[float] = []
        """of lone prompts: time to the first token beyond the engine's own time"""
        self._client = client
        self._ids = np.random.default_rng()
        self._vocabulary = vocabulary
        self._counting = threading.Lock()

    def run(self, probe: Probe) -> MeasuredStep | None:
        """Run a probe; None where its steps could not be told apart.

        Raises EngineError where the server refuses a probe.
        """
        if isinstance(probe, PrefillProbe):
            return self._prefill(probe)
        if isinstance(probe, DecodeProbe):
            return self._decode(probe)
        return self._mixed(probe)

    def front_busy_s(self, count: int) -> float:
        """Return for how long the server's front is busy with one request.

        It takes the requests of a burst one after another, while the engine reads their short
        prompts in a few steps.
        """
        bursts = [self._burst_s(count) for _ in range(BURSTS)]
        alone = [self._burst_s(1) for _ in range(BURSTS)]
        return max(0.0, float(np.median(bursts) - np.median(alone)) / (count - 1))

    def _burst_s(self, count: int) -> float:
        """Return the time from the first request of a burst to the last first token."""
        requests = [self._request(self._prompt(BURST_TOKENS), 1) for _ in range(count)]
        with ThreadPoolExecutor(count) as pool:
            answers = list(pool.map(self._send, requests))
        begin = min(answer.begin_ns for answer in answers)
        return (max(answer.token_ns()[0] for answer in answers) - begin) / 1e9

    def _prefill(self, probe: PrefillProbe) -> MeasuredStep | None:
        prompt = self._prompt(probe.cached + probe.new)
        if probe.cached:
            self._send(self._request(prompt[: probe.cached], 1))
        before = self._clock()
        answer = self._send(self._request(prompt, 1))
        seconds = self._clock().prefill_s - before.prefill_s
        if seconds <= 0:
            return None
        self.front_s.append((answer.token_ns()[0] - answer.begin_ns) / 1e9 - seconds)
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
        injected = [self._prompt(probe.cached + probe.new) for _ in range(INJECTED)]
        for prompt in injected if probe.cached else ():
            self._send(self._request(prompt[: probe.cached], 1))
        with self._decoding(prompts, MIXED_DECODED):
            before = self._clock()
            answers = [self._send(self._request(prompt, 1)) for prompt in injected]
            after = self._clock()
        if after.prefills - before.prefills != INJECTED:
            return None  # a sequence had ended by then
        context = probe.count * (probe.context + MIXED_DECODED / 2)
        batch = replace(_decodes(probe.count, context), chunks=(_chunk(injected[0], answers[0]),))
        return MeasuredStep(batch, (after.prefill_s - before.prefill_s) / INJECTED)

    @contextmanager
    def _decoding(
        self, prompts: Sequence[Sequence[int]], output: int
    ) -> Iterator[Callable[[], object]]:
        """Run sequences; the block starts when all of them have, and is given how to wait."""
        started = threading.Semaphore(0)
        requests = [self._request(prompt, output) for prompt in prompts]
        with ThreadPoolExecutor(len(prompts)) as pool:
            running = [pool.submit(self._send, request, started.release) for request in requests]
            if not all(started.acquire(timeout=PATIENCE_S) for _ in prompts):
                for one in running:
                    one.result()  # its error says more
                raise EngineError(f"a probe did not start within {PATIENCE_S:.0f} s")
            yield lambda: [one.result() for one in running]
            for one in running:
                one.result()

    def _cached_prompts(self, count: int, context: int) -> list[list[int]]:
        """Have the server cache so many prompts, so that their sequences start together."""
        prompts = [self._prompt(context) for _ in range(count)]
        for prompt in prompts:
            self._send(self._request(prompt, 1))
        return prompts

    def _send(self, request: Request, started: Callable[[], object] = int) -> TimedAnswer:
        with self._counting:
            self.sent += 1
        answer = self._client.timed(request, started)
        if answer.answer.error is not None:
            raise EngineError(f"the server failed at a probe: {answer.answer.error}")
        return answer

    def _request(self, prompt: Sequence[int], output: int) -> Request:
        ids = np.array(prompt, dtype=np.int64)
        return Request("", "calibration", "", 0, output, prompt_token_ids=ids)

    def _prompt(self, tokens: int) -> list[int]:
        return [int(one) for one in self._ids.integers(FIRST_ID, self._vocabulary, tokens)]

    def _clock(self) -> Clock:
        """Read the server's counters."""
        samples = prometheus.parse(self._client.text("/metrics") or "")
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
