"""Non-negative least squares: the coefficients of step times cannot be negative.

Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23.
"""

import numpy as np

from phasewise_analyzer.engine.batch import FloatArray

TOLERANCE = 1e-12


def solve(terms: FloatArray, values: FloatArray) -> FloatArray:
    """Return the non-negative coefficients that minimise |terms · coefficients - values|.

    `terms` has a row per value and a column per coefficient.
    """
    scale = np.linalg.norm(terms, axis=0)
    scale[scale == 0] = 1.0
    scaled = terms / scale
    free = np.zeros(terms.shape[1], dtype=bool)
    found = np.zeros(terms.shape[1])
    refused = np.zeros(terms.shape[1], dtype=bool)
    while True:
        gradient = scaled.T @ (values - scaled @ found)
        gradient[free | refused] = -np.inf
        best = int(np.argmax(gradient))
        if gradient[best] <= TOLERANCE * np.linalg.norm(values):
            coefficients: FloatArray = found / scale
            return coefficients
        free[best] = True
        before = found.copy()
        found = _inside(scaled, values, free, found)
        # a term that is dropped again at once adds nothing: rounding, not descent
        refused[:] = False if not np.array_equal(found, before) else refused
        refused[best] = found[best] == 0


def _inside(
    terms: FloatArray,
    values: FloatArray,
    free: np.ndarray[tuple[int], np.dtype[np.bool_]],
    found: FloatArray,
) -> FloatArray:
    """Solve for the free coefficients; those that would be negative are fixed at zero."""
    while True:
        trial = np.zeros_like(found)
        trial[free] = np.linalg.lstsq(terms[:, free], values, rcond=None)[0]
        negative = free & (trial <= 0)
        if not negative.any():
            return trial
        step = np.min(found[negative] / (found[negative] - trial[negative] + 1e-300))
        found = found + step * (trial - found)
        free &= found > TOLERANCE
        found[~free] = 0.0
        if not free.any():
            return found
