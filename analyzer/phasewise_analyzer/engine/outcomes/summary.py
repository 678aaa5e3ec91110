"""Sums a simulation up: means and percentiles of what callers wait for, and throughput."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phasewise_analyzer.engine.schedulers.request import Served


@dataclass(frozen=True, slots=True)
class Spread:
    """The distribution of one measure, in seconds."""

    mean: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a stream of requests experienced."""

    makespan_s: float
    """from the first arrival to the last token"""
    ttft_s: Spread
    """time to first token, the queue included"""
    tpot_s: Spread | None
    """time per output token after the first; None where every output has one token"""
    latency_s: Spread
    output_tokens_s: float
    preemptions: int


def summarise(served: Sequence[Served], preemptions: int) -> Summary:
    """Sum the requests up."""
    makespan = max(one.last_s for one in served) - min(one.arrival_s for one in served)
    tpots = [one.tpot_s for one in served if one.tpot_s is not None]
    return Summary(
        makespan_s=makespan,
        ttft_s=_spread([one.ttft_s for one in served]),
        tpot_s=_spread(tpots) if tpots else None,
        latency_s=_spread([one.latency_s for one in served]),
        output_tokens_s=sum(one.output_tokens for one in served) / makespan,
        preemptions=preemptions,
    )


def _spread(values: Sequence[float]) -> Spread:
    p50, p90, p99 = np.percentile(values, [50, 90, 99])
    return Spread(float(np.mean(values)), float(p50), float(p90), float(p99))
