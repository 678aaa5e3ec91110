"""Find the call from which on a provider no longer does what its rule says.

The series is, for each call that the rule promises something, the share of it that was read. The
best single change point is where the means of both sides differ most, weighed by their sizes;
whether that is more than chance is asked of permutations of the same series.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FEWEST_CALLS = 12
"""on each side"""
LEAST_CHANGE = 0.15
"""of the promised tokens"""
PERMUTATIONS = 999
MOST_CALLS = 20_000
"""the last ones: each permutation costs as much as the series is long"""
MOST_CHANCE = 0.005
_SEED = 20_260_301


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the mean."""

    at: int
    """the first value after it"""
    before: float
    after: float
    p_value: float


def find(shares: npt.NDArray[np.float64]) -> Change | None:
    """Return the change point of a series in order of time; None where it shows none."""
    if len(shares) < 2 * FEWEST_CALLS:
        return None
    skipped = max(0, len(shares) - MOST_CALLS)
    shares = shares[skipped:]
    at, height = _highest(shares)
    before, after = float(shares[:at].mean()), float(shares[at:].mean())
    if abs(before - after) < LEAST_CHANGE:
        return None
    random = np.random.default_rng(_SEED)
    higher = sum(_highest(random.permutation(shares))[1] >= height for _ in range(PERMUTATIONS))
    p_value = (higher + 1) / (PERMUTATIONS + 1)
    return Change(skipped + at, before, after, p_value) if p_value <= MOST_CHANCE else None


def _highest(shares: npt.NDArray[np.float64]) -> tuple[int, float]:
    """Return the split whose sides differ most, and by how many times sqrt(n1 n2 / n)."""
    count = len(shares)
    left = np.arange(FEWEST_CALLS, count - FEWEST_CALLS + 1)
    sums = np.cumsum(shares)
    one = sums[left - 1] / left
    other = (sums[-1] - sums[left - 1]) / (count - left)
    heights = np.abs(one - other) * np.sqrt(left * (count - left) / count)
    place = int(heights.argmax())
    return int(left[place]), float(heights[place])
