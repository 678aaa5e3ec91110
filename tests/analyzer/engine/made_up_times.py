"""Step times that are quick to compute and exact in floating point, for tests."""

import numpy as np
from phasewise_analyzer.engine.step_times.batch import Basis, Batch, FloatArray


class MadeUpTimes:
    """A step takes as many 1/1024 s as a small formula says: sums of them are exact."""

    @property
    def basis(self) -> Basis:
        """Say that nobody measured this."""
        return Basis("roofline", "made up", None)

    def step_s(self, batch: Batch) -> float:
        """Return the seconds of one step."""
        reads = sum(chunk.new * 3 + chunk.cached for chunk in batch.chunks) + 2 * batch.drafts
        return (16 + reads + batch.decodes + batch.context + batch.longest + batch.elsewhere) / 1024

    def decode_run_s(self, first: Batch, steps: int) -> FloatArray:
        """Return the seconds of so many decode steps in a row."""
        later = np.arange(steps, dtype=np.float64)
        start = 16 + first.decodes + first.context + first.longest + first.elsewhere
        times: FloatArray = (start + (first.decodes + 1) * later) / 1024
        return times
