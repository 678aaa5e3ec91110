"""A request as the scheduler sees it, and what the simulation says of it."""

from collections.abc import Hashable
from dataclasses import dataclass

from phasewise_analyzer.engine.schedulers.drafts import Drafts


@dataclass(frozen=True, slots=True)
class Request:
    """One call to the engine."""

    arrival_s: float
    input_tokens: int
    output_tokens: int
    digests: tuple[Hashable, ...]
    """chained ids of the prompt's full blocks: equal ids mean an equal prefix"""
    digest_tokens: int | None = None
    """tokens that an id stands for; None is a KV block of the engine"""
    allowed_tokens: int | None = None
    """output tokens after which it is cut off (`max_tokens`); None is as many as it generates"""
    forced: bool = False
    """whether it generates as many tokens as are allowed, whatever they are (`ignore_eos`)"""

    drafts: Drafts | None = None
    """what a drafter proposes for it; None without speculation"""

    @property
    def most_output_tokens(self) -> int:
        """Output tokens that the engine has to expect."""
        return max(self.allowed_tokens or 0, self.output_tokens)


@dataclass(slots=True)
class Served:
    """How a request was served; times in seconds since the start."""

    arrival_s: float
    scheduled_s: float | None = None
    """when its first step was planned; with asynchronous scheduling another one still runs then"""
    first_s: float = 0.0
    """end of the step that generated its first token"""
    last_s: float = 0.0
    output_tokens: int = 0
    cached_tokens: int = 0
    host_cached_tokens: int = 0
    """those of them that came from host memory"""
    preemptions: int = 0
    prefill_s: float = 0.0
    """engine time that reading the prompt caused, see `attribution`; as the next three, of one GPU
    of the rank that served it"""
    recompute_s: float = 0.0
    """the part of it that a preemption caused"""
    floor_s: float = 0.0
    """the part of decode steps that it shared equally with others"""
    marginal_s: float = 0.0
    """what its own tokens and context added to decode steps"""
    rejected_s: float = 0.0
    """the part of it that draft tokens took which were rejected"""
    drafted_tokens: int = 0
    """draft tokens verified"""
    accepted_tokens: int = 0
    """those accepted"""

    @property
    def busy_s(self) -> float:
        """Engine time of the call."""
        return self.prefill_s + self.floor_s + self.marginal_s

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
