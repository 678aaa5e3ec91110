"""What a step takes besides its kernels: host time, and what ranks send each other.

They are terms of their own, added to any source of step times.
"""

from dataclasses import dataclass
from functools import cached_property

from phasewise_analyzer.engine.hardware.gpus import Gpu
from phasewise_analyzer.engine.shapes.layers import Experts
from phasewise_analyzer.engine.shapes.shape import BF16_BYTES, Shape
from phasewise_analyzer.engine.step_times.batch import Basis, Batch, FloatArray, StepTimes


@dataclass(frozen=True)
class Collectives:
    """The time in which ranks exchange partial results, as rings over the GPUs' link do it.

    Tensor-parallel ranks add up the results of every mixer and feed-forward block (all-reduce).
    Data-parallel ranks gather all tokens before each mixture of experts and scatter the sums after
    it, which moves as many bytes as an all-reduce of all their tokens.
    """

    gpu: Gpu
    shape: Shape
    tp: int
    dp: int = 1

    def seconds(self, batch: Batch) -> float:
        """Return the time of all collectives of one step."""
        if self.tp == self.dp == 1:
            return 0.0
        added = self._blocks * self._ring_s(self.tp, batch.tokens)
        return added + self._mixtures * self._ring_s(self.dp, batch.group_tokens)

    @cached_property
    def _blocks(self) -> int:
        """Mixers and feed-forward blocks."""
        return sum((one.mixer is not None) + bool(one.feed_forward) for one in self.shape.layers)

    @cached_property
    def _mixtures(self) -> int:
        """Layers with a mixture of experts."""
        return sum(
            any(isinstance(block, Experts) for block in one.feed_forward)
            for one in self.shape.layers
        )

    def _ring_s(self, ranks: int, tokens: int) -> float:
        """Return the time of one all-reduce of the hidden states of so many tokens."""
        if ranks == 1:
            return 0.0
        moved = 2 * (ranks - 1) / ranks * tokens * self.shape.hidden * BF16_BYTES
        return moved / self.gpu.link_bytes_s + self.gpu.link_s


@dataclass(frozen=True, slots=True)
class WithTerms:
    """Step times with host time and collectives."""

    kernels: StepTimes
    collectives: Collectives
    host_s: float

    @property
    def basis(self) -> Basis:
        """Say where the times of the kernels come from."""
        return self.kernels.basis

    def step_s(self, batch: Batch) -> float:
        """Return the seconds of one step."""
        return self.kernels.step_s(batch) + self.collectives.seconds(batch) + self.host_s

    def decode_run_s(self, first: Batch, steps: int) -> FloatArray:
        """Return the seconds of so many decode steps in a row."""
        fixed = self.collectives.seconds(first) + self.host_s
        return self.kernels.decode_run_s(first, steps) + fixed
