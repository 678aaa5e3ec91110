"""Non-negative least squares: the coefficients of step times cannot be negative.

The best coefficients are zero outside some set of terms, and the plain least squares of that set
inside it. With a handful of terms every set is tried, which cannot go round in circles.
"""

from collections.abc import Iterator
from itertools import chain, combinations

import numpy as np

from phasewise_analyzer.engine.step_times.batch import FloatArray

MOST_TERMS = 10
"""a thousand sets"""


def solve(terms: FloatArray, values: FloatArray) -> FloatArray:
    """Return the non-negative coefficients that minimise |terms · coefficients - values|.

    `terms` has a row per value and a column per coefficient, at most `MOST_TERMS`.
    """
    count = terms.shape[1]
    assert count <= MOST_TERMS
    scale = np.linalg.norm(terms, axis=0)
    scale[scale == 0] = 1.0
    scaled = terms / scale
    found = np.zeros(count)
    least = float(np.linalg.norm(values))
    for chosen in _sets(count):
        inside = np.linalg.lstsq(scaled[:, chosen], values, rcond=None)[0]
        if (inside < 0).any():
            continue
        left = float(np.linalg.norm(scaled[:, chosen] @ inside - values))
        if left < least:
            least = left
            found = np.zeros(count)
            found[list(chosen)] = inside
    coefficients: FloatArray = found / scale
    return coefficients


def _sets(count: int) -> Iterator[tuple[int, ...]]:
    """Return all sets of terms that are not empty, small ones first."""
    return chain.from_iterable(combinations(range(count), size) for size in range(1, count + 1))
