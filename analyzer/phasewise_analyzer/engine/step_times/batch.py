"""One engine step as the step times see it, and the Protocol that every source of times follows."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Kind = Literal["roofline", "kernels", "aiconfigurator", "fit"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of one prompt that a step reads."""

    new: int
    """tokens computed"""
    cached: int
    """tokens of the same sequence before them"""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step computes."""

    chunks: tuple[Chunk, ...] = ()
    decodes: int = 0
    """sequences that generate one token"""
    context: int = 0
    """tokens of these sequences, summed, the new token included"""
    longest: int = 0
    """tokens of the longest of these sequences"""
    elsewhere: int = 0
    """tokens that other data-parallel ranks compute in the same step"""
    drafts: int = 0
    """draft tokens that these sequences verify besides; they are in `context` too"""
    completed: int = 0
    """tokens of the prompts that the step finishes reading, cached ones included"""

    @property
    def prefill_tokens(self) -> int:
        """Prompt tokens computed."""
        return sum([chunk.new for chunk in self.chunks]) if self.chunks else 0

    @property
    def tokens(self) -> int:
        """Tokens computed."""
        return self.prefill_tokens + self.decodes + self.drafts

    @property
    def group_tokens(self) -> int:
        """Tokens computed by all data-parallel ranks."""
        return self.tokens + self.elsewhere

    @property
    def sequences(self) -> int:
        """Sequences that have a token in it."""
        return len(self.chunks) + self.decodes

    @property
    def sampled(self) -> int:
        """Tokens whose successor is sampled: the last one of each sequence, and drafts."""
        return self.sequences + self.drafts

    @property
    def decode_part(self) -> "Batch":
        """The same step without its chunks."""
        return Batch(
            decodes=self.decodes, context=self.context, longest=self.longest, drafts=self.drafts
        )


@dataclass(frozen=True, slots=True)
class Basis:
    """Where step times come from, for the label beside every number that uses them."""

    kind: Kind
    source: str
    error: float | None
    """mean relative error on shapes that were not used; None where it was not measured"""

    @property
    def in_words(self) -> str:
        """The label beside a number."""
        error = "error not measured" if self.error is None else f"mean error {self.error:.0%}"
        return f"{self.kind}, {self.source}, {error}"


class StepTimes(Protocol):
    """How long an engine step takes."""

    @property
    def basis(self) -> Basis:
        """Say where the times come from."""
        ...

    def step_s(self, batch: Batch) -> float:
        """Return the seconds of one step."""
        ...

    def decode_run_s(self, first: Batch, steps: int) -> FloatArray:
        """Return the seconds of so many decode steps in a row.

        `first` is the first of them; every sequence grows by one token per step.
        """
        ...
