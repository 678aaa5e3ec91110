"""Fits step times to measured steps, and refuses a fit that no GPU could reach.

The weights are 1/t, so that relative errors count, and the mean of many steps counts more. The
error of a kind is measured on steps that the fit has not seen, in five folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.hardware.gpus import Gpu
from phasewise_analyzer.engine.shapes.formats import Format
from phasewise_analyzer.engine.shapes.shape import Shape
from phasewise_analyzer.engine.step_times import nonnegative
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk, FloatArray
from phasewise_analyzer.engine.step_times.fitted_steps import (
    BEND_TOKENS,
    KINDS,
    FittedSteps,
    KindFit,
    StepKind,
    kind_of,
    terms,
)
from phasewise_analyzer.engine.step_times.kernel_preparation import NO_PREPARATION, Preparation

FOLDS = 5
PASSES = 3


@dataclass(frozen=True, slots=True)
class MeasuredStep:
    """One engine step and how long it took."""

    batch: Batch
    seconds: float
    steps: int = 1
    """of so many alike it is the mean: it counts as much"""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What bounds a step: the model, its formats, and the GPUs that serve it."""

    shape: Shape
    gpu: Gpu
    weights: Format
    cache: Format
    tp: int = 1


class ImpossibleFitError(UsageError):
    """A fit that implies more than the GPU's peak."""


def fit(
    steps: Sequence[MeasuredStep],
    *,
    source: str,
    made_at: datetime,
    hardware: Hardware | None = None,
    kinds: Sequence[StepKind] = KINDS,
    preparation: Preparation = NO_PREPARATION,
) -> FittedSteps:
    """Fit each kind of step that the engine has; the steps were measured without `preparation`.

    Raises UsageError where a kind has too few steps, and ImpossibleFitError where the GPU is known
    and the fit implies more than its peak rate or bandwidth.
    """
    fits: dict[StepKind, KindFit] = {}
    for kind in kinds:
        mine = [step for step in steps if kind_of(step.batch) == kind]
        fits[kind] = _fit_kind(kind, mine)
    fitted = FittedSteps(fits, source, made_at, preparation)
    if hardware is not None:
        refuse_impossible(fitted, hardware)
    return fitted


def lacking(steps: Sequence[MeasuredStep], kind: StepKind) -> int:
    """Return how many steps of a kind are missing for its coefficients and their error."""
    mine = sum(kind_of(step.batch) == kind for step in steps)
    return max(0, len(terms(_example(kind))) + FOLDS - mine)


def _fit_kind(kind: StepKind, steps: Sequence[MeasuredStep]) -> KindFit:
    if lacking(steps, kind):
        raise UsageError(
            f"{len(steps)} {kind} steps were measured; their fit and its error need at least "
            f"{len(steps) + lacking(steps, kind)}: measure for longer"
        )
    rows = np.array([terms(step.batch) for step in steps], dtype=np.float64)
    seconds = np.array([step.seconds for step in steps], dtype=np.float64)
    counts = np.array([step.steps for step in steps], dtype=np.float64)
    errors = np.empty(len(steps))
    for fold in range(FOLDS):
        held = np.arange(len(steps)) % FOLDS == fold
        seen = relative(rows[~held], seconds[~held], counts[~held])
        errors[held] = np.abs(rows[held] @ seen / seconds[held] - 1)
    errors = np.repeat(errors, [step.steps for step in steps])
    return KindFit(
        coefficients=tuple(float(value) for value in relative(rows, seconds, counts)),
        error=float(errors.mean()),
        p90=float(np.percentile(errors, 90)),
        worst=float(errors.max()),
        steps=len(steps),
    )


def relative(rows: FloatArray, seconds: FloatArray, counts: FloatArray) -> FloatArray:
    """Return the coefficients with the least relative errors; `counts` weighs the rows.

    Errors are relative to the fit, which is found anew a few times. Relative to the measured times,
    steps that were held up would count less than those that were not, and the fit would be too
    fast: 8 % where times scatter by 20 %.
    """
    root = np.sqrt(counts)
    guess = seconds
    found = np.zeros(rows.shape[1])
    for _ in range(PASSES):
        found = nonnegative.solve(rows * (root / guess)[:, None], seconds / guess * root)
        guess = np.maximum(rows @ found, seconds.min() / 10)
    return found


def _example(kind: StepKind) -> Batch:
    chunks = () if kind == "decode" else (Chunk(1, 0),)
    return Batch(chunks, decodes=0 if kind == "prefill" else 1, context=1, longest=1)


def implied_mfu(fitted: FittedSteps, hardware: Hardware) -> float:
    """Return the share of the peak FLOP/s that a further prompt token implies."""
    _, token, bent, *_ = fitted.fits["prefill"].coefficients
    flops = 2 * hardware.shape.active_linear / hardware.tp
    return _share(flops, token + bent, hardware.gpu.rate(hardware.weights.compute))


def implied_mbu(fitted: FittedSteps, hardware: Hardware) -> float:
    """Return the share of the peak bandwidth at which a lone decode implies that weights are read.

    The floor of a step holds the weights; the rest of a step is not counted in its favour.
    """
    floor, sequence, *_ = fitted.fits["decode"].coefficients
    read = hardware.shape.read_bytes(hardware.weights, tokens=1, tp=hardware.tp)
    return _share(read, floor + sequence, hardware.gpu.bytes_s)


def implied_cache_mbu(fitted: FittedSteps, hardware: Hardware) -> float:
    """Return the share of the peak bandwidth at which decodes imply that the KV cache is read."""
    per_token = fitted.fits["decode"].coefficients[3]
    read = hardware.shape.kv_token_bytes(hardware.cache, hardware.tp)
    return _share(read, per_token, hardware.gpu.bytes_s)


def refuse_impossible(fitted: FittedSteps, hardware: Hardware) -> None:
    """Raise ImpossibleFitError for an implied MFU or MBU above 1."""
    implied = {
        f"MFU of prefill (prompts above {BEND_TOKENS} tokens)": implied_mfu(fitted, hardware),
        "MBU of reading weights": implied_mbu(fitted, hardware),
        "MBU of reading the KV cache": implied_cache_mbu(fitted, hardware),
    }
    for name, share in implied.items():
        if share > 1:
            value = "no bound" if np.isinf(share) else f"{share:.2f}"
            raise ImpossibleFitError(
                f"the fit implies an {name} of {value} on `{hardware.gpu.name}`, which cannot be: "
                "the measured steps do not tell its coefficients apart.  Measure larger prompts, "
                "batches and contexts; until then the roofline prior is used without a calibration"
            )


def _share(amount: float, seconds: float, peak: float) -> float:
    return amount / seconds / peak if seconds > 0 else float("inf")
