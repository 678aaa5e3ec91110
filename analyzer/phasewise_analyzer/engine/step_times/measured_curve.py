"""Interpolation in measured tables: piecewise linear, on grids that need not be complete."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from phasewise_analyzer.engine.step_times.batch import FloatArray

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Curve:
    """Measured values over one axis, in ascending order."""

    at: FloatArray
    values: FloatArray

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]]) -> "Curve":
        """Sort points into a curve."""
        at, values = zip(*sorted(points), strict=True)
        return cls(np.array(at, dtype=np.float64), np.array(values, dtype=np.float64))

    def value(self, at: float) -> float:
        """Return the value at one point."""
        return float(self.value_at(np.array([at], dtype=np.float64))[0])

    def value_at(self, at: FloatArray) -> FloatArray:
        """Return the values at some points; below the first it is the first."""
        inside = np.interp(at, self.at, self.values)
        if len(self.at) < 2 or at.max() <= self.at[-1]:
            return inside
        rise = (self.values[-1] - self.values[-2]) / (self.at[-1] - self.at[-2])
        beyond = self.values[-1] + max(0.0, rise) * (at - self.at[-1])
        return np.where(at > self.at[-1], beyond, inside)


def between(table: Mapping[int, T], at: float, value: Callable[[T], float]) -> float:
    """Interpolate between the values of the two entries around a key, or beyond the last two."""
    keys = sorted(table)
    above = bisect_right(keys, at)
    if above == 0 or len(keys) == 1 or keys[above - 1] == at:
        return value(table[keys[max(0, above - 1)]])
    low, high = keys[above - 1 : above + 1] if above < len(keys) else keys[-2:]
    left, right = value(table[low]), value(table[high])
    rise = (right - left) / (high - low)
    if at > high:
        return right + max(0.0, rise) * (at - high)
    return left + rise * (at - low)
