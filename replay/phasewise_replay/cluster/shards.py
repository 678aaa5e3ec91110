"""Split the sessions of a replay into shards, and each shard's work into visits of arms.

A shard runs all blocks of all arms in the plan's order on the same GPUs, so that sessions are
paired as on one machine; shards run beside each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from phasewise_replay.plans.arms import Arm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.sessions.recorded import Recorded, RecordedSession


@dataclass(frozen=True, slots=True)
class Visit:
    """Consecutive blocks of an arm on one shard: what runs while its engine is up."""

    run_id: str
    shard: int
    arm: str
    blocks: tuple[int, ...]

    @property
    def key(self) -> str:
        """Name the work: whoever does it again does the same, and it is counted once."""
        first, last = self.blocks[0], self.blocks[-1]
        return f"{self.run_id}/{self.arm}/{self.shard}/{first}-{last}"


@dataclass(frozen=True, slots=True)
class Shard:
    """Some of the sessions, and what is to be done with them, in order."""

    number: int
    recorded: Recorded
    visits: tuple[Visit, ...]


def most_shards(recorded: Recorded, plan: Plan) -> int:
    """Return how many shards have as many sessions as are to be in flight at once."""
    return max(1, len(recorded.sessions) // plan.concurrency)


def split(recorded: Recorded, plan: Plan, run_id: str) -> list[Shard]:
    """Return the plan's shards, about equal in calls; sessions stay whole and in their order."""
    bins: list[list[int]] = [[] for _ in range(plan.shards)]
    weights = [0] * plan.shards
    sizes = [len(session.steps) for session in recorded.sessions]
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        # the fewest sessions first: a shard with fewer could not keep as many in flight
        lightest = min(range(plan.shards), key=lambda one: (len(bins[one]), weights[one], one))
        bins[lightest].append(place)
        weights[lightest] += sizes[place]
    return [
        Shard(number, _part(recorded, places), tuple(visits(plan, run_id, number)))
        for number, places in enumerate(bins)
    ]


def visits(plan: Plan, run_id: str, shard: int) -> Sequence[Visit]:
    """Return a shard's visits in the plan's order, with the shard's own block numbers."""
    first = shard * plan.shard_blocks
    return [
        Visit(run_id, shard, arm.name, tuple(first + block for block in blocks))
        for arm, blocks in plan.visits()
    ]


def arm_of(plan: Plan, visit: Visit) -> Arm:
    """Return the arm that a visit runs."""
    return next(arm for arm in plan.arms if arm.name == visit.arm)


def _part(recorded: Recorded, places: Sequence[int]) -> Recorded:
    chosen: tuple[RecordedSession, ...] = tuple(recorded.sessions[one] for one in sorted(places))
    return replace(recorded, sessions=chosen)
