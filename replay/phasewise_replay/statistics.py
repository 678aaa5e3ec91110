"""Confidence intervals of mean paired differences, and the minimum detectable effect of a run.

The unit is the session: sessions are independent, the calls inside one are not. The interval is a
bootstrap-t interval (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 12.5), which
holds its level with few and skewed units better than percentiles do. Seeded: the same differences
give the same interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

FEWEST = 5
"""with fewer pairs there is no interval: too few distinct resamples for a 95 % level"""

RESAMPLES = 20_000
LEAST_SPREAD = 0.1
"""a resample's spread counts as at least so much of the sample's: one that drew nearly equal values
would else stretch the interval without bound"""
_TAILS = (0.025, 0.975)
_SEED = 20_260_101

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Return the mean of independent values with its interval; None with fewer than FEWEST."""
    data = np.asarray(values, dtype=np.float64)
    count = len(data)
    if count < FEWEST:
        return None
    mean = float(data.mean())
    spread = float(data.std(ddof=1))
    if spread <= 1e-12 * max(1.0, abs(mean)):
        return Interval(mean, mean, mean)
    picks = np.random.default_rng(_SEED).integers(0, count, size=(RESAMPLES, count))
    drawn = data[picks]
    error = spread / math.sqrt(count)
    errors = np.maximum(drawn.std(axis=1, ddof=1) / math.sqrt(count), LEAST_SPREAD * error)
    low, high = np.quantile((drawn.mean(axis=1) - mean) / errors, _TAILS)
    return Interval(mean, mean - float(high) * error, mean - float(low) * error)


def unpaired_interval(before: Sequence[float], after: Sequence[float]) -> Interval | None:
    """Return the difference of two means, after minus before, for two samples of other units."""
    one, two = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if min(len(one), len(two)) < FEWEST:
        return None
    generator = np.random.default_rng(_SEED)

    def means(data: Floats) -> Floats:
        picks = generator.integers(0, len(data), size=(RESAMPLES, len(data)))
        found: Floats = data[picks].mean(axis=1)
        return found

    low, high = np.quantile(means(two) - means(one), _TAILS)
    return Interval(float(two.mean() - one.mean()), float(low), float(high))


def minimum_detectable_effect(values: Sequence[float]) -> float | None:
    """Return the smallest true mean difference that 80 % of such runs detect at the 95 % level.

    (t(0.975) + t(0.8)) * s / sqrt(n), for n - 1 degrees of freedom.
    """
    count = len(values)
    if count < FEWEST:
        return None
    spread = float(np.std(np.asarray(values, dtype=np.float64), ddof=1))
    return (_student(0.975, count - 1) + _student(0.8, count - 1)) * spread / math.sqrt(count)


def _student(probability: float, freedom: int) -> float:
    """Return a quantile of Student's t by the Cornish-Fisher expansion; 0.3 % off at 4 degrees.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, start=1)))
