"""Tunes the roofline's efficiencies to what a server did under some loads.

For a server of which only summaries are known, such as those of `vllm bench serve` at two rates.
Gauss-Newton on the logarithms of the efficiencies: each is held near its prior, the more so the
better the prior is known, and each measured value counts by how far chance arrivals move it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from phasewise_analyzer.engine.deployments.deployment import Deployment
from phasewise_analyzer.engine.outcomes.summary import Summary, summarise
from phasewise_analyzer.engine.runs.replicas import serve
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.step_times.batch import FloatArray
from phasewise_analyzer.engine.step_times.front import Front
from phasewise_analyzer.engine.step_times.roofline import Efficiency
from phasewise_analyzer.engine.step_times.step_fit import ImpossibleFitError

START = Efficiency(launch_s=8e-4, ramp_tokens=128)
"""where the search starts: the prior, with terms that only small steps show"""
FRONT_S = 0.008
"""time outside the engine where the search starts"""
KNOWN = (0.06, 0.06, 0.08, 1.0, 0.7, 1.0)
"""standard deviations of the prior, of the logarithms: MFU, MBU, time per sequence, launch,
operators, ramp.  What large products reach is known to a few percent, overheads to a factor.
A parameter of its own for experts made forecasts of two mixtures worse: small loads do not tell it
from the ramp"""
FRONT_KNOWN_S = 0.012
NOISE = (0.01, 0.03, 0.05, 0.03)
"""of measured throughput, time per token, time to first token and latency"""
NUDGE, FRONT_NUDGE_S = 0.1, 0.004
LONGEST_STEP = 0.4
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class MeasuredLoad:
    """What a server did under one load."""

    draws: Sequence[Sequence[Request]]
    """requests as they may have arrived; several where only their rate is known"""
    output_tokens_s: float
    tpot_s: float
    """median, as the next two"""
    ttft_s: float
    latency_s: float

    def values(self) -> list[float]:
        """Return the measured values in the order of `NOISE`."""
        return [self.output_tokens_s, self.tpot_s, self.ttft_s, self.latency_s]


@dataclass(frozen=True, slots=True)
class LoadFit:
    """The efficiencies that were found."""

    efficiency: Efficiency
    front: Front
    """time that a request spends before the engine"""


def fit(engine: Callable[[Efficiency], Deployment], loads: Sequence[MeasuredLoad]) -> LoadFit:
    """Find the efficiencies under which a simulated engine does what was measured.

    Raises ImpossibleFitError where they exceed the peak of the GPU.
    """
    measured = np.log([value for load in loads for value in load.values()])
    prior = np.append(np.zeros(len(KNOWN)), FRONT_S)
    known = np.append(np.array(KNOWN), FRONT_KNOWN_S)
    nudges = np.append(np.full(len(KNOWN), NUDGE), FRONT_NUDGE_S)
    point = prior
    for _ in range(ROUNDS):
        draws = np.array([_simulated(engine, point, loads, draw) for draw in _each_draw(loads)])
        chance = draws.var(axis=0, ddof=1) if len(draws) > 1 else np.zeros(len(measured))
        # what was measured is one draw, and what is simulated another
        noise = np.sqrt(np.tile(NOISE, len(loads)) ** 2 + 2 * chance)
        slopes = np.array(
            [
                (_simulated(engine, point + nudge, loads, 0) - draws[0]) / nudge.sum()
                for nudge in np.diag(nudges)
            ]
        ).T
        rows = np.vstack([slopes / noise[:, None], np.diag(1 / known)])
        wanted = np.concatenate([(measured - draws[0]) / noise, (prior - point) / known])
        step = np.linalg.lstsq(rows, wanted, rcond=None)[0]
        point = point + np.clip(step, -LONGEST_STEP, LONGEST_STEP)
        point[-1] = max(point[-1], 0.0)
    found = _efficiency(point)
    if max(found.mfu, found.mbu) > 1:
        raise ImpossibleFitError(
            f"the measured loads imply an MFU of {found.mfu:.2f} and an MBU of {found.mbu:.2f}: "
            "the GPU or the model is another than was named"
        )
    return LoadFit(found, Front(float(point[-1])))


def _each_draw(loads: Sequence[MeasuredLoad]) -> range:
    return range(min(len(load.draws) for load in loads))


def _efficiency(point: FloatArray) -> Efficiency:
    mfu, mbu, sequence, launch, operators, ramp = np.exp(point[: len(KNOWN)])
    return replace(
        START,
        mfu=float(START.mfu * mfu),
        experts_mfu=float(START.experts_mfu * mfu),
        mbu=float(START.mbu * mbu),
        sequence_s=float(START.sequence_s * sequence),
        launch_s=float(START.launch_s * launch),
        op_s=float(START.op_s * operators),
        ramp_tokens=float(START.ramp_tokens * ramp),
    )


def _simulated(
    engine: Callable[[Efficiency], Deployment],
    point: FloatArray,
    loads: Sequence[MeasuredLoad],
    draw: int,
) -> FloatArray:
    """Return the logarithms of what the engine does under each load."""
    deployed = replace(engine(_efficiency(point)), front=Front(float(point[-1])))
    values: list[float] = []
    for load in loads:
        outcome = serve(load.draws[draw], deployed)
        values += _values(summarise(outcome.served, outcome.preemptions))
    logarithms: FloatArray = np.log(values)
    return logarithms


def _values(summary: Summary) -> list[float]:
    assert summary.tpot_s is not None, "a load has outputs of more than one token"
    return [
        summary.output_tokens_s,
        summary.tpot_s.p50,
        summary.ttft_s.p50,
        summary.latency_s.p50,
    ]
