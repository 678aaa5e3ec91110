"""Calibrates a running server: looks at it, probes it within a time, fits its step times.

The server has to be idle: requests of others would be in every step that is measured. It is looked
at before, and its own count of requests is compared with ours after.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from phasewise_analyzer.engine import step_fit
from phasewise_analyzer.engine.calibration import Calibration, Server
from phasewise_analyzer.engine.front import Front
from phasewise_analyzer.engine.step_fit import Hardware, MeasuredStep
from phasewise_analyzer.engine.vllm_scheduler import SchedulerConfig
from phasewise_store.errors import EngineError, UsageError

from phasewise_replay import prometheus, server_description
from phasewise_replay.calibration.probes import (
    DecodeProbe,
    Limits,
    MixedProbe,
    PrefillProbe,
    Probe,
    one_round,
)
from phasewise_replay.calibration.probing import Prober
from phasewise_replay.engine import Resolved
from phasewise_replay.openai_client import OpenAiClient
from phasewise_replay.request_body import VLLM

LOADS = ("vllm:num_requests_running", "vllm:num_requests_waiting")
SERVED = "vllm:request_success_total"
ROUNDS = 3
"""at most; the median of a probe's rounds counts"""
WARM_UP = (PrefillProbe(64, 0), DecodeProbe(1, 32), MixedProbe(32, 0, 1, 32))
"""probes that are not counted: a server compiles and allocates at its first ones"""
DEFAULTS = SchedulerConfig(max_num_batched_tokens=2048, max_num_seqs=128)
"""where the server does not tell: it does so in development mode only (VLLM_SERVER_DEV_MODE=1)"""
SCHEDULER = "scheduler_config."
STEP_SETTINGS = (
    "model_config.dtype",
    "model_config.quantization",
    "model_config.enforce_eager",
    "cache_config.cache_dtype",
    "parallel_config.tensor_parallel_size",
    "parallel_config.data_parallel_size",
    "parallel_config.pipeline_parallel_size",
    "device_config.device_type",
)
"""settings that step times depend on"""

Report = Callable[[int, int], None]
"""told after each probe: probes done in this round, and all of the round"""


def calibrate(
    client: OpenAiClient,
    *,
    seconds: float,
    sequences: int,
    gpu: str | None = None,
    hardware: Hardware | None = None,
    report: Report = lambda done, planned: None,
) -> Calibration:
    """Measure a server for at most so many seconds, with at most so many sequences at once.

    Raises UsageError where the server is busy, is not vLLM, or is too slow for the time, and
    EngineError where it fails.
    """
    client.dialect = VLLM
    described = server_description.describe(client, engine="vllm", model=None)
    _refuse_busy(client)
    config = _config(described)
    limits = Limits(
        tokens=described.max_model_tokens or 4096,
        chunk_tokens=config.max_num_batched_tokens,
        sequences=min(sequences, config.max_num_seqs),
        cache_tokens=described.blocks and described.blocks * config.block_size,
    )
    served = _served(client)
    prober = Prober(client, vocabulary=described.vocabulary_tokens or 30_000)
    for probe in WARM_UP:
        prober.run(probe)
    prober.front_s.clear()
    steps = _probe(prober, one_round(limits), time.monotonic() + seconds, report)
    busy_s = prober.front_busy_s(limits.sequences) if limits.sequences > 1 else 0.0
    if served is not None and (_served(client) or 0) - served > prober.sent:
        raise UsageError(
            "other requests were served meanwhile: the measured steps are not the probes' alone; "
            "calibrate again when the server is idle"
        )
    server = Server(
        engine="vllm",
        version=described.version,
        model=described.model,
        gpu=gpu,
        settings={
            name: described.settings[name] for name in STEP_SETTINGS if name in described.settings
        },
    )
    times = step_fit.fit(
        steps, source=f"calibration of {server.name}", made_at=datetime.now(UTC), hardware=hardware
    )
    latency_s = float(np.median(prober.front_s))
    front = Front(latency_s, min(busy_s, latency_s))
    return Calibration(server, times, config, described.blocks, front)


def _probe(
    prober: Prober, planned: list[Probe], deadline: float, report: Report
) -> list[MeasuredStep]:
    """Run rounds until the deadline; return the median of each probe."""
    found: dict[Probe, list[MeasuredStep]] = {}
    for _ in range(ROUNDS):
        for done, probe in enumerate(planned, start=1):
            if time.monotonic() > deadline:
                return _medians(found)
            step = prober.run(probe)
            if step is not None:
                found.setdefault(probe, []).append(step)
            report(done, len(planned))
    return _medians(found)


def _medians(found: dict[Probe, list[MeasuredStep]]) -> list[MeasuredStep]:
    return [
        replace(steps[0], seconds=float(np.median([step.seconds for step in steps])))
        for steps in found.values()
    ]


def _refuse_busy(client: OpenAiClient) -> None:
    """Raise UsageError where the server has requests, or does not say whether it has."""
    samples = prometheus.parse(client.text("/metrics") or "")
    counts = [prometheus.total(samples, name) for name in LOADS]
    if all(count is None for count in counts):
        raise UsageError(
            "the server has no vLLM metrics at `/metrics`: whether it is idle, and what its steps "
            "take, cannot be told; `phasewise simulate` without a calibration uses kernel tables "
            "or the roofline"
        )
    load = sum(count or 0 for count in counts)
    if load:
        raise UsageError(
            f"the server is busy ({load:.0f} requests): its steps would hold more than the probes; "
            "calibrate when it is idle"
        )


def _served(client: OpenAiClient) -> float | None:
    return prometheus.total(prometheus.parse(client.text("/metrics") or ""), SERVED)


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
