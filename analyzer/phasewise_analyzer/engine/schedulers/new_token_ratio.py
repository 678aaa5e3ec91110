"""SGLang's guess of how much of its allowed output a request will generate.

Rules (SGLang 0.5.23, srt/managers/scheduler_components/new_token_ratio_tracker): it starts at 0.7
times `schedule-conservativeness`, falls with each decode step until a seventh of that is left,
starts again when the engine is idle, and after a retraction is what the running requests have
generated so far, and 20 tokens more each.
"""

from collections.abc import Sequence as Sequences

INITIAL, LEAST_SHARE, DECAY_STEPS = 0.7, 0.14, 600
RETRACT_STEPS = 20
"""decode steps that a retraction makes room for"""


class NewTokenRatio:
    """The share of the output still allowed that is reserved for a running request."""

    def __init__(self, conservativeness: float) -> None:
        self._initial = min(INITIAL * conservativeness, 1.0)
        self._least = min(self._initial * LEAST_SHARE, 1.0)
        self._decay = (self._initial - self._least) / DECAY_STEPS
        self._start = self._initial
        self._steps = 0

    @property
    def now(self) -> float:
        """The ratio."""
        return max(self._start - self._steps * self._decay, self._least)

    def decode(self, steps: int) -> None:
        """Let it fall with so many decode steps."""
        self._steps += steps

    def idle(self) -> None:
        """Start again."""
        self._start, self._steps = self._initial, 0

    def retracted(self, generated: Sequences[int], allowed: Sequences[int]) -> None:
        """Set it after a retraction, from the output tokens of the sequences that stay."""
        expected = sum(generated) + RETRACT_STEPS * len(generated)
        self._start, self._steps = min(1.0, expected / (sum(allowed) + 1)), 0
