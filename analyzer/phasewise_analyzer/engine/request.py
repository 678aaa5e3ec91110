"""A request as the scheduler sees it, and what the simulation says of it."""

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """One call to the engine."""

    arrival_s: float
    input_tokens: int
    output_tokens: int
    digests: tuple[Hashable, ...]
    """chained ids of the prompt's full blocks: equal ids mean an equal prefix"""


@dataclass(slots=True)
class Served:
    """How a request was served; times in seconds since the start."""

    arrival_s: float
    first_s: float = 0.0
    """end of the step that generated its first token"""
    last_s: float = 0.0
    output_tokens: int = 0
    cached_tokens: int = 0
    preemptions: int = 0

    @property
    def ttft_s(self) -> float:
        """Time to first token, the queue included."""
        return self.first_s - self.arrival_s

    @property
    def latency_s(self) -> float:
        """Time to the last token."""
        return self.last_s - self.arrival_s

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first; None where there is only one."""
        if self.output_tokens < 2:
            return None
        return (self.last_s - self.first_s) / (self.output_tokens - 1)
