"""Shares the measured steps of a running engine among its calls and phases, as rule 3 has it.

What a step's parts would take alone comes from a fit to the engine's own steps: to those of one
phase where there are enough of both, else to all of them as a floor plus what each part adds.
"""

import math
from collections.abc import Mapping
from collections.abc import Sequence as Sequences
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from phasewise_analyzer.engine.runs.attribution import Attribution
from phasewise_analyzer.engine.runs.logged_steps import EndedCall, Placed, PlacedStep
from phasewise_analyzer.engine.schedulers.request import Request, Served
from phasewise_analyzer.engine.schedulers.scheduler import Scheduled
from phasewise_analyzer.engine.schedulers.sequence import Sequence
from phasewise_analyzer.engine.step_times import nonnegative, step_fit
from phasewise_analyzer.engine.step_times.batch import Batch, StepTimes
from phasewise_analyzer.engine.step_times.fitted_steps import (
    KINDS,
    PURE_KINDS,
    FittedSteps,
    KindFit,
    StepKind,
    kind_of,
    terms,
)
from phasewise_analyzer.engine.step_times.step_fit import MeasuredStep

MOST_STEPS = 2000
"""of a kind, for the fit; evenly spread over the run"""
ENOUGH = 40
"""steps of one phase that a fit of its own takes"""
LEAST_FLOOR = 1e-3
"""of the shortest step: no part of a step is free"""


@dataclass(frozen=True, slots=True)
class SharedSteps:
    """The engine's time in steps, by phase and by call, in seconds of the engine."""

    prefill_s: float
    decode_s: float
    prefill_band_s: tuple[float, float]
    """by the two marginals of mixed steps"""
    calls: Mapping[str, tuple[float, float]]
    """prefill and decode of each call, by the engine's name for it"""
    steps: int
    mixed: int
    """steps in which prompts were read while others decoded"""
    unknown: int
    """steps none of whose calls has ended, whose time is in no call"""


def share(engines: Sequences[Placed]) -> SharedSteps:
    """Share the steps of one or more data-parallel engines."""
    placed = [step for engine in engines for step in engine.steps if step.known]
    unknown = sum(len(engine.steps) for engine in engines) - len(placed)
    if not placed:
        return SharedSteps(0.0, 0.0, (0.0, 0.0), {}, 0, 0, unknown)
    times = _own_times(placed)
    calls: dict[str, tuple[float, float]] = {}
    prefill_s = low_s = high_s = 0.0
    for engine in engines:
        shares = _Shares(times, engine.calls)
        for step in engine.steps:
            if step.known and step.seconds > 0:
                found_s = shares.add(step)
                low, high = _band(step, times)
                prefill_s += found_s
                low_s += min(low, found_s)
                high_s += max(high, found_s)
        calls |= shares.calls()
    return SharedSteps(
        prefill_s=prefill_s,
        decode_s=sum(step.seconds for step in placed) - prefill_s,
        prefill_band_s=(low_s, high_s),
        calls=calls,
        steps=len(placed),
        mixed=sum(kind_of(step.batch) == "mixed" for step in placed),
        unknown=unknown,
    )


class _Shares:
    """Adds up the parts of calls."""

    def __init__(self, times: StepTimes, ended: Sequences[EndedCall]) -> None:
        self._attribution = Attribution(times)
        self._ended = ended
        self._served = [Served(0.0) for _ in ended]
        self._sequences = [self._sequence(at, epoch=0) for at in range(len(ended))]
        self._again = [self._sequence(at, epoch=1) for at in range(len(ended))]

    def add(self, step: PlacedStep) -> float:
        """Share one step; return the prefill's part."""
        reading = [self._sequences[at] for at in step.reading]
        if step.recomputing:
            reading[-1] = self._again[step.reading[-1]]
        decoding = tuple((self._sequences[at], context) for at, context in step.decoding)
        part = Scheduled(step.batch, (), tuple(reading), decoding, steady=False)
        return self._attribution.add_step(part, step.seconds)

    def calls(self) -> dict[str, tuple[float, float]]:
        """Return prefill and decode of each call."""
        return {
            ended.call_id: (served.prefill_s, served.floor_s + served.marginal_s)
            for ended, served in zip(self._ended, self._served, strict=True)
        }

    def _sequence(self, at: int, *, epoch: int) -> Sequence:
        ended = self._ended[at]
        request = Request(0.0, ended.prompt_tokens, ended.output_tokens, ())
        return Sequence(at, request, self._served[at], epoch=epoch)


def _band(step: PlacedStep, times: StepTimes) -> tuple[float, float]:
    """Return prefill's part of a step by the marginals: what it adds, and what it takes alone."""
    batch, seconds = step.batch, step.seconds
    if not batch.chunks:
        return 0.0, 0.0
    if not batch.decodes:
        return seconds, seconds
    decode_s, prefill_s = times.step_s(batch.decode_part), times.step_s(Batch(batch.chunks))
    return max(0.0, seconds - decode_s), min(seconds, prefill_s)


def _own_times(steps: Sequences[PlacedStep]) -> FittedSteps:
    """Fit what steps of one phase take to the engine's own steps."""
    measured = [MeasuredStep(step.batch, step.seconds) for step in steps if step.seconds > 0]
    kinds = {kind: [one for one in measured if kind_of(one.batch) == kind] for kind in KINDS}
    kept = {kind: _spread(found) for kind, found in kinds.items()}
    source, now = "the engine's own steps", datetime.now(UTC)
    if all(len(kept[kind]) >= ENOUGH for kind in PURE_KINDS):
        pure = [one for kind in PURE_KINDS for one in kept[kind]]
        return step_fit.fit(pure, source=source, made_at=now, kinds=PURE_KINDS)
    return FittedSteps(_joint([one for kind in KINDS for one in kept[kind]]), source, now)


def _spread(steps: Sequences[MeasuredStep]) -> Sequences[MeasuredStep]:
    """Return at most so many steps, evenly spread."""
    return steps[:: max(1, -(-len(steps) // MOST_STEPS))]


def _joint(steps: Sequences[MeasuredStep]) -> dict[StepKind, KindFit]:
    """Fit all steps at once: a floor, what the prompts add, and what the decodes add."""
    parts = [(_prompt_terms(one.batch), _decode_terms(one.batch)) for one in steps]
    seconds = np.array([one.seconds for one in steps])
    rows = np.array([[1.0, *prompts, *decodes] for prompts, decodes in parts])
    floor, *added = nonnegative.solve(rows / seconds[:, None], np.ones(len(steps)))
    floor = max(floor, LEAST_FLOOR * float(seconds.min()))
    split = len(parts[0][0])
    return {
        "prefill": _unjudged((floor, *added[:split]), len(steps)),
        "decode": _unjudged((floor, *added[split:]), len(steps)),
    }


def _prompt_terms(batch: Batch) -> list[float]:
    """Return the terms of a step's chunks, without the floor."""
    return terms(Batch(batch.chunks))[1:]


def _decode_terms(batch: Batch) -> list[float]:
    """Return the terms of a step's decodes, without the floor; zeros where there are none."""
    part = batch.decode_part if batch.decodes else Batch(decodes=1)
    return [one * bool(batch.decodes) for one in terms(part)[1:]]


def _unjudged(coefficients: tuple[float, ...], steps: int) -> KindFit:
    """Return a fit that is used on the steps it was made of, so that no error is known."""
    return KindFit(coefficients, error=math.nan, p90=math.nan, worst=math.nan, steps=steps)
