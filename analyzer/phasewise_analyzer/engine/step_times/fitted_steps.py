"""Step times from a fit to measured steps: three kinds of steps, each with its own coefficients.

    prefill  1, P, max(P - 256, 0), sum P·(K + P/2), K, sum K²
    decode   1, N, max(N - 64, 0), C
    mixed    1, T, max(T - 256, 0), sum P·(K + P/2), C, N, K

P are prompt tokens computed, K tokens cached before them, N sequences that decode, C the tokens of
their contexts, T = P + N. A draft token that is verified counts as another sequence. One fit for
all kinds is 25 to 45 % off on decode steps: attention over unlike lengths reads memory at another
speed. K² is for kernels that compute attention of the cached tokens again, such as SGLang's
`torch_native` on a CPU; for others its coefficient is 0. `step_fit` finds the coefficients.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from phasewise_analyzer.engine.step_times.batch import Basis, Batch, FloatArray
from phasewise_analyzer.engine.step_times.kernel_preparation import NO_PREPARATION, Preparation

StepKind = Literal["prefill", "decode", "mixed"]
KINDS: tuple[StepKind, ...] = ("prefill", "decode", "mixed")
PURE_KINDS: tuple[StepKind, ...] = ("prefill", "decode")
"""of an engine that never mixes them, as SGLang"""
BEND_TOKENS, BEND_SEQUENCES = 256, 64
"""up to these a step is bound by memory, above by compute"""


@dataclass(frozen=True, slots=True)
class KindFit:
    """The fit of one kind of step."""

    coefficients: tuple[float, ...]
    """seconds per unit of each term"""
    error: float
    """mean relative error on steps held out of the fit"""
    p90: float
    """90th percentile of it"""
    worst: float
    steps: int
    """measured steps"""


@dataclass(frozen=True, slots=True)
class FittedSteps:
    """Step times of one server."""

    fits: Mapping[StepKind, KindFit]
    """of the kinds of steps that the engine has"""
    source: str
    """the server that was measured"""
    made_at: datetime
    preparation: Preparation = NO_PREPARATION

    @property
    def basis(self) -> Basis:
        """Say what was fitted, how far it is off, and how old it is."""
        kinds = ", ".join(
            f"{kind} ±{self.fits[kind].error:.1%}" for kind in KINDS if kind in self.fits
        )
        days = (datetime.now(self.made_at.tzinfo) - self.made_at).days
        age = "today" if days == 0 else f"{days} days ago"
        steps = sum(fit.steps for fit in self.fits.values())
        error = sum(fit.error * fit.steps for fit in self.fits.values()) / steps
        return Basis("fit", f"{self.source}, measured {age} ({kinds})", error)

    def step_s(self, batch: Batch) -> float:
        """Return the seconds of one step."""
        fit = self.fits[kind_of(batch)]
        return float(np.dot(terms(batch), fit.coefficients))

    def decode_run_s(self, first: Batch, steps: int) -> FloatArray:
        """Return the seconds of so many decode steps in a row."""
        per_token = self.fits["decode"].coefficients[3]
        later = np.arange(steps, dtype=np.float64) * first.decodes
        times: FloatArray = self.step_s(first) + per_token * later
        return times


def kind_of(batch: Batch) -> StepKind:
    """Return the kind of a step."""
    if not batch.decodes:
        return "prefill"
    return "mixed" if batch.chunks else "decode"


def terms(batch: Batch) -> list[float]:
    """Return the terms of a step, in the order of its kind's coefficients."""
    prompt = batch.prefill_tokens
    pairs = sum(chunk.new * (chunk.cached + chunk.new / 2) for chunk in batch.chunks)
    cached = sum(chunk.cached for chunk in batch.chunks)
    if not batch.decodes:
        again = sum(chunk.cached**2 for chunk in batch.chunks)
        return [1, prompt, max(prompt - BEND_TOKENS, 0), pairs, cached, again]
    if not batch.chunks:
        sampled = batch.sampled
        return [1, sampled, max(sampled - BEND_SEQUENCES, 0), batch.context]
    tokens = batch.tokens
    bent = max(tokens - BEND_TOKENS, 0)
    return [1, tokens, bent, pairs, batch.context, batch.decodes + batch.drafts, cached]
