"""What a cluster does for a run: tell its room, and do the visits of shards beside each other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from phasewise_replay.cluster.shards import Shard, Visit
from phasewise_replay.cluster.visiting import Visited, Work


@dataclass(frozen=True, slots=True)
class Lost:
    """A visit that no node could finish."""

    visit: Visit
    reason: str


@dataclass(frozen=True, slots=True)
class Ahead:
    """How far the visits are that run now."""

    calls: int
    """measured by visits that are not finished"""
    running: int
    waiting: int
    """visits that wait for GPUs"""


WorkOf = Callable[[Visit], Work | None]
"""what a node is given for a visit; None leaves it out"""


class Cluster(Protocol):
    """Nodes with GPUs."""

    def room(self, gpus: int) -> int:
        """Return how many engines with so many GPUs each, on one node, run at once."""
        ...

    def largest(self) -> int:
        """Return the most GPUs that one node has."""
        ...

    def serve(
        self, shards: Sequence[Shard], gpus: int, work_of: WorkOf
    ) -> Iterator[Visited | Lost | Ahead]:
        """Do the visits of every shard in order, on the same `gpus` GPUs of a node.

        `work_of` is asked when a visit is about to begin. A visit whose node is lost is done again
        on another one. Yields what is finished, and about once a second how far the rest is.
        """
        ...
