"""What `EngineRun` asks of a scheduler, and of the flags that make one.

`VllmScheduler` and `SglangScheduler` are two.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.sequence import Sequence
from phasewise_analyzer.engine.schedulers.transfers import Transfers
from phasewise_analyzer.engine.step_times.batch import Batch


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One step and the sequences in it."""

    batch: Batch
    emitting: tuple[tuple[Sequence, int], ...]
    """sequences that generate a token, with their epoch"""
    reading: tuple[Sequence, ...]
    """sequences whose prompts are read, in the order of the batch's chunks"""
    decoding: tuple[tuple[Sequence, int], ...]
    """sequences that decode, with their context"""
    steady: bool
    """whether it decodes every running sequence, and so does the next step if nothing happens"""
    verified: tuple[tuple[int, int], ...] = ()
    """of each sequence that decodes, its draft tokens and those accepted; empty without drafts"""


class Scheduler(Protocol):
    """Plans the steps of one engine."""

    waiting: deque[Sequence]
    running: list[Sequence]
    """all sequences that were admitted and have not finished"""
    preemptions: int
    transfers: Transfers | None
    """copies of KV blocks to the engine, where it gets some from elsewhere"""

    def schedule(self) -> Scheduled | None:
        """Plan the next step; None where there is nothing to compute."""
        ...

    def emitted(self, sequence: Sequence) -> None:
        """Learn that a sequence has generated a token and goes on."""
        ...

    def finish(self, sequence: Sequence) -> None:
        """Take a finished sequence out and free its KV cache."""
        ...

    def steps_with_room(self, most: int) -> int:
        """Return for how many steps, at most, every running sequence finds its KV cache."""
        ...

    def advance(self, steps: int) -> None:
        """Plan so many steps at once that decode every running sequence."""
        ...

    def full(self) -> bool:
        """Tell whether a request that arrives now is looked at only when another has ended."""
        ...

    def cached_blocks(self, sequence: Sequence) -> int:
        """Return how many full blocks of a prompt are cached."""
        ...

    def blocks_in_use(self) -> int:
        """Return the blocks that running sequences hold, and those that waiting prompts need."""
        ...


class EngineConfig(Protocol):
    """An engine's flags: a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def engine(self) -> str:
        """Name the engine."""
        ...

    @property
    def block_size(self) -> int:
        """Tokens per KV block."""
        ...

    @property
    def step_tokens(self) -> int | None:
        """Most prompt tokens of one step; None is no limit."""
        ...

    @property
    def prefix_caching(self) -> bool:
        """Whether prefixes are cached."""
        ...

    @property
    def planned_steps(self) -> int:
        """Steps that are planned at once: two where the next one is while the last one runs."""
        ...

    @property
    def late_tokens(self) -> bool:
        """Whether the tokens of a step come out only when the next one has ended."""
        ...

    def scheduler(self, blocks: int | None) -> Scheduler:
        """Make a scheduler with so many KV blocks; None is always enough."""
        ...

    def most_tokens(self, blocks: int) -> int:
        """Return the prompt and output tokens that always fit in so many KV blocks."""
        ...

    def blocks_needed(self, request: Request) -> int:
        """Return the KV blocks without which the engine refuses a request."""
        ...
