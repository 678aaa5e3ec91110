"""Predict the mean time to first token from the calls of this data set where it is known.

The prefill line of `latency_fit` (a time per new and per cached token) describes the usual call; a
few slow ones raise the mean. So it is scaled by the ratio of the observed to the predicted mean
over held-out calls, and the interval is that of this ratio (bootstrap with a fixed seed).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phasewise_analyzer import latency_fit
from phasewise_analyzer.latency_fit import ShareModel, Sizes
from phasewise_analyzer.whatif.facts import FirstToken

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FOLDS = 5
DRAWS = 1000
TAILS = (0.025, 0.975)
SEED = 20261123


@dataclass(frozen=True, slots=True)
class FirstTokenModel:
    """A line, and how far the mean of its predictions may be off."""

    lines: ShareModel
    ratio: float
    """of the observed mean to that of the lines"""
    low: float
    """ends of the ratio's interval"""
    high: float

    def of(self, new_tokens: Ints, input_tokens: Ints) -> FirstToken:
        """Predict the mean of calls of these sizes."""
        mean = float(_predicted(self.lines, new_tokens, input_tokens).mean())
        return FirstToken(mean * self.ratio, mean * self.low, mean * self.high)


def fit(
    new_tokens: Ints, input_tokens: Ints, output_tokens: Floats, first_s: Floats, whole_s: Floats
) -> FirstTokenModel | None:
    """Fit the model; None where too few calls say when their first token came."""
    usable = (first_s > 0) & (whole_s >= first_s)  # NaN is neither
    new, whole = new_tokens[usable], input_tokens[usable]
    output, first, waited = output_tokens[usable], first_s[usable], whole_s[usable]
    lines = _lines(new, whole, output, first, waited)
    if lines is None:
        return None
    fold = np.arange(len(first)) % FOLDS
    predicted = np.empty(len(first))
    for one in range(FOLDS):
        seen, unseen = fold != one, fold == one
        found = _lines(new[seen], whole[seen], output[seen], first[seen], waited[seen])
        predicted[unseen] = _predicted(found or lines, new[unseen], whole[unseen])
    draws = np.random.default_rng(SEED).integers(0, len(first), (DRAWS, len(first)))
    drawn = first[draws].mean(axis=1) / np.maximum(predicted[draws].mean(axis=1), 1e-9)
    low, high = np.quantile(drawn, TAILS)
    ratio = float(first.mean() / max(float(predicted.mean()), 1e-9))
    return FirstTokenModel(lines, ratio, float(low), float(high))


def _lines(
    new: Ints, whole: Ints, output: Floats, first_s: Floats, whole_s: Floats
) -> ShareModel | None:
    sizes = Sizes(new.astype(np.float64), whole.astype(np.float64), output)
    return latency_fit.fit(sizes, first_s, whole_s)


def _predicted(lines: ShareModel, new: Ints, whole: Ints) -> Floats:
    base, a_new, a_token = lines.prefill
    predicted: Floats = base + a_new * new + a_token * whole
    return predicted
