"""What a step takes besides its kernels: host time, and all-reduces between tensor-parallel ranks.

They are terms of their own, added to any source of step times.
"""

from dataclasses import dataclass

from phasewise_analyzer.engine.batch import Basis, Batch, FloatArray, StepTimes
from phasewise_analyzer.engine.gpus import Gpu
from phasewise_analyzer.engine.shape import BF16_BYTES, Shape


@dataclass(frozen=True, slots=True)
class AllReduce:
    """The time in which ranks add up their partial results, as a ring does it."""

    gpu: Gpu
    shape: Shape
    tp: int

    def seconds(self, tokens: int) -> float:
        """Return the time of all all-reduces of one step: one per mixer and per MLP."""
        if self.tp == 1:
            return 0.0
        count = sum((one.mixer is not None) + bool(one.feed_forward) for one in self.shape.layers)
        moved = 2 * (self.tp - 1) / self.tp * tokens * self.shape.hidden * BF16_BYTES
        return count * (moved / self.gpu.link_bytes_s + self.gpu.link_s)


@dataclass(frozen=True, slots=True)
class WithTerms:
    """Step times with host time and all-reduces."""

    kernels: StepTimes
    all_reduce: AllReduce
    host_s: float

    @property
    def basis(self) -> Basis:
        """Say where the times of the kernels come from."""
        return self.kernels.basis

    def step_s(self, batch: Batch) -> float:
        """Return the seconds of one step."""
        return self.kernels.step_s(batch) + self.all_reduce.seconds(batch.tokens) + self.host_s

    def decode_run_s(self, first: Batch, steps: int) -> FloatArray:
        """Return the seconds of so many decode steps in a row."""
        fixed = self.all_reduce.seconds(first.decodes) + self.host_s
        return self.kernels.decode_run_s(first, steps) + fixed
