"""Confidence intervals of mean paired differences, and the minimum detectable effect of a run.

Sessions are the units: they are independent, calls inside one are not. The interval is the
bootstrap-t one (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 12.5), which
holds its level with few and skewed units better than percentiles do. It does not know what values
are possible, so times and tokens are compared by the logarithm of their ratio (ch. 12.6 there): no
interval then says that an arm takes less than nothing. Seeded: the same values give the same
interval.
"""

import math
from collections.abc import Callable, Sequence
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
LEAST_RATIO_SPREAD = 0.2
"""the same for ratios, whose upper end grows with the exponential of it"""
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
    error = spread / math.sqrt(count)
    drawn = data[_picks(count)]
    errors = drawn.std(axis=1, ddof=1) / math.sqrt(count)
    low, high = _studentised(drawn.mean(axis=1) - mean, errors, LEAST_SPREAD * error)
    return Interval(mean, mean - high * error, mean - low * error)


def paired_interval(before: Sequence[float], after: Sequence[float]) -> Interval | None:
    """Return the mean of after less before, for quantities that are never negative.

    Where all values are above zero it is (ratio - 1) * mean(before), and the interval that of the
    ratio of the means: above -mean(before), whatever the values. A ratio says nothing where some
    are zero: there the interval of the mean difference ends at -mean(before).
    """
    one, two = np.asarray(before, np.float64), np.asarray(after, np.float64)
    plain = mean_interval((two - one).tolist())
    if plain is None:
        return None
    baseline = float(one.mean())
    if min(one.min(), two.min()) <= 0:
        return Interval(plain.mean, max(plain.low, -baseline), plain.high)
    low, high = _ratio_ends(one, two)
    return Interval(plain.mean, (low - 1) * baseline, (high - 1) * baseline)


def _ratio_ends(one: Floats, two: Floats) -> tuple[float, float]:
    """Return the interval of mean(two) / mean(one), pairs of values above zero."""
    count = len(one)
    picks = _picks(count)
    ratio, error = _log_ratio(one[None], two[None])
    drawn, errors = _log_ratio(one[picks], two[picks])
    centre, spread = float(ratio[0]), float(error[0])
    if spread <= 1e-12:
        return math.exp(centre), math.exp(centre)
    low, high = _studentised(drawn - centre, errors, LEAST_RATIO_SPREAD * spread)
    return math.exp(centre - high * spread), math.exp(centre - low * spread)


def _log_ratio(one: Floats, two: Floats) -> tuple[Floats, Floats]:
    """Return each row's log(mean(two) / mean(one)), and its standard error by the delta method."""
    first, second = one.mean(axis=1), two.mean(axis=1)
    apart = two / second[:, None] - one / first[:, None]
    return np.log(second / first), apart.std(axis=1, ddof=1) / math.sqrt(one.shape[1])


def _studentised(apart: Floats, errors: Floats, least_error: float) -> tuple[float, float]:
    """Return the ends of the distribution of resamples, in standard errors."""
    low, high = np.quantile(apart / np.maximum(errors, least_error), _TAILS)
    return float(low), float(high)


def _picks(count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(_SEED).integers(0, count, size=(RESAMPLES, count))


def unpaired_interval(before: Sequence[float], after: Sequence[float]) -> Interval | None:
    """Return the difference of two means, after less before, where the units are not the same.

    Of quantities that are never negative: as in `paired_interval` it is (ratio - 1) *
    mean(before), and ends at -mean(before).
    """
    one, two = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if min(len(one), len(two)) < FEWEST:
        return None
    generator = np.random.default_rng(_SEED)

    def means(data: Floats) -> Floats:
        picks = generator.integers(0, len(data), size=(RESAMPLES, len(data)))
        found: Floats = data[picks].mean(axis=1)
        return found

    first, second, baseline = means(one), means(two), float(one.mean())
    apart = second - first if first.min() <= 0 else (second / first - 1) * baseline
    low, high = np.quantile(apart, _TAILS)
    return Interval(float(two.mean()) - baseline, max(float(low), -baseline), float(high))


def share_interval(
    of: Callable[[Sequence[float], Sequence[float]], Interval | None],
    before: Sequence[float],
    after: Sequence[float],
) -> Interval | None:
    """Return the interval `of` shares: a share that grows is compared by what it leaves to one.

    So no interval says that more than all is served.
    """
    if sum(after) / len(after) < sum(before) / len(before):
        return of(before, after)
    rest = of([1 - share for share in before], [1 - share for share in after])
    if rest is None:
        return None
    least = -sum(before) / len(before)
    return Interval(-rest.mean, max(-rest.high, least), -rest.low)


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
