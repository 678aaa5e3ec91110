"""Tests by flipping signs: exact at any number of sessions, with no assumption about spreads.

When an arm changes nothing, each session's difference is as likely to have the other sign. All
measures of a session are flipped together, so the tests of a plan keep their joint distribution.
"""

from functools import lru_cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EXACT = 12
"""up to so many sessions all flips are tried: 4,096"""
DRAWN = 4_999
"""random ones above that"""
MOST_CELLS = 4_000_000
LEAST_DRAWN = 1_999
_SEED = 20_260_102


@lru_cache(maxsize=16)
def subsets(count: int) -> Floats:
    """Return subsets of so many sessions as rows of zeros and ones, without the empty one."""
    if count <= EXACT:
        numbers = np.arange(1, 2**count)[:, None] >> np.arange(count)
        return (numbers & 1).astype(np.float64)
    rows = min(DRAWN, max(LEAST_DRAWN, MOST_CELLS // count))
    drawn = np.random.default_rng(_SEED).integers(0, 2, (rows, count)).astype(np.float64)
    drawn[~drawn.any(axis=1), 0] = 1.0
    return drawn


@lru_cache(maxsize=16)
def _signs(count: int) -> Floats:
    found: Floats = 1.0 - 2.0 * subsets(count)
    return found


def p_values(differences: Floats) -> list[float]:
    """Return each measure's p-value; `differences` has a row per session, a column per measure.

    A session that lacks a measure has a difference of zero there, which no flip changes.
    """
    observed, flipped = _statistics(differences)
    return [_share(flipped[:, place], seen) if seen else 1.0 for place, seen in enumerate(observed)]


def adjusted(differences: Floats) -> list[float]:
    """Return p-values that hold together: any false finding among all measures is this rare.

    Holm's step-down with the joint distribution of the measures in place of Bonferroni's bound
    (Westfall and Young, Resampling-Based Multiple Testing, 1993, algorithm 4.1): the largest
    statistic is compared with the largest of all measures in each flip, the next one with the
    largest of the rest, and so on.
    """
    observed, flipped = _statistics(differences)
    order = np.argsort(-observed, kind="stable")
    rest = np.maximum.accumulate(flipped[:, order[::-1]], axis=1)[:, ::-1]
    steps = [
        _share(rest[:, place], observed[measure]) if observed[measure] else 1.0
        for place, measure in enumerate(order)
    ]
    found = dict(zip(order.tolist(), accumulate(steps, max), strict=True))
    return [found[place] for place in range(len(observed))]


def least_p_value(sessions: int) -> float:
    """Return the smallest p-value that so many sessions can give: all of one sign."""
    return 2 / 2**sessions if sessions <= EXACT else 1 / (len(subsets(sessions)) + 1)


def critical_t(differences: Floats) -> float | None:
    """Return Student's statistic that the largest of these measures stays below in 95 % of flips.

    Of the differences around their means, as if the arm changed nothing; None where no statistic
    is large enough.
    """
    centred = differences - differences.mean(axis=0)
    count = len(centred)
    _, flipped = _statistics(centred)
    if not flipped.size:
        return None
    limit = float(np.quantile(flipped.max(axis=1), 0.95, method="higher"))
    room = count - limit**2
    return None if room <= 1e-9 * count else limit * float(np.sqrt((count - 1) / room))


def _statistics(differences: Floats) -> tuple[Floats, Floats]:
    """Return |sum| / root of the sum of squares: as observed, and for every flip.

    The sum of squares is the same for every flip, so this orders flips as Student's t does.
    """
    scale = np.sqrt((differences**2).sum(axis=0))
    safe = np.where(scale > 0, scale, 1.0)
    flipped = np.abs(_signs(len(differences)) @ differences) / safe
    return np.abs(differences.sum(axis=0)) / safe, flipped


def _share(flipped: Floats, observed: float) -> float:
    """Return the share of flips, the unflipped one included, that are as large as observed."""
    as_large = int((flipped >= observed * (1 - 1e-9)).sum())
    return (1 + as_large) / (1 + len(flipped))


def interval(values_of_subsets: Floats) -> tuple[float, float]:
    """Return the values that a two-sided test at 5 % does not reject: Hartigan's typical values.

    The value of a subset of sessions lies on either side of the truth with equal chance (Hartigan,
    Journal of the American Statistical Association 64, 1969), so their quantiles are the ends.
    """
    ordered = np.sort(values_of_subsets)
    cut = int(0.025 * (len(ordered) + 1))
    return float(ordered[cut - 1]), float(ordered[len(ordered) - cut])
