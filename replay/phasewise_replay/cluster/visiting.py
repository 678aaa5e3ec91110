"""What a node does: start an arm's engine, run a visit's blocks on a shard, return the results.

Needs no store. The same visit done twice gives the same rows under the same keys.
"""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata

from phasewise_store.errors import EngineError, MissingExtraError, UsageError
from phasewise_store.run_facts import Arm as ArmFact
from phasewise_store.run_facts import MeasuredCall

from phasewise_replay.cluster.shards import Visit, arm_of
from phasewise_replay.engine import started
from phasewise_replay.engines.engine_of_arm import engine_of
from phasewise_replay.gpu import machine
from phasewise_replay.plans.plan import Plan
from phasewise_replay.records import arm_record
from phasewise_replay.runs.plan_run import PlanRun
from phasewise_replay.sessions.recorded import Recorded

Tell = Callable[[int], None]
"""called with how many of the visit's calls are measured"""


@dataclass(frozen=True, slots=True)
class Visited:
    """The results of a visit."""

    visit: Visit
    arm: ArmFact
    """with the visit's complete blocks only"""
    calls: tuple[MeasuredCall, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """All that a node needs besides the shard's sessions."""

    visit: Visit
    plan: Plan
    version: str
    """of Phasewise, where the run is"""


def version() -> str:
    """Return this installation's version of Phasewise."""
    return metadata.version("phasewise")


def do(work: Work, recorded: Recorded, tell: Tell) -> Visited:
    """Do a visit; an engine that fails, or cannot run here, is part of the results.

    Raises UsageError where the node has another version of Phasewise.
    """
    node = platform.node()
    if (here := version()) != work.version:
        raise UsageError(
            f"node {node} has Phasewise {here}, and the run {work.version}: install the same "
            "version on every node"
        )
    visit, plan = work.visit, work.plan
    arm, kept = arm_of(plan, visit), _Kept(visit.arm)
    run = PlanRun(
        kept,
        plan,
        run_id=visit.run_id,
        recorded=recorded,
        step=lambda done, _total, _label: tell(done),
        machine={"gpus": machine.gpus()},
    )
    try:
        engine = engine_of(run.as_started(arm))
        with started(engine) as resolved:
            run.turn(arm, engine, resolved, visit.blocks)
    except (EngineError, MissingExtraError) as error:
        run.give_up(arm, error)
    fact = kept.fact
    assert fact is not None
    record = arm_record.decode(fact)
    if record is None:
        return Visited(visit, fact, ())
    blocks = tuple(replace(block, node=node) for block in record.blocks)
    fact = replace(fact, resolved=arm_record.encode(replace(record, blocks=blocks)))
    complete = {block.block for block in blocks}
    return Visited(visit, fact, tuple(call for call in kept.calls if call.block in complete))


@dataclass(slots=True)
class _Kept:
    """Keeps what a run records of one arm."""

    arm: str
    fact: ArmFact | None = None
    calls: list[MeasuredCall] = field(default_factory=list)

    def put_arm(self, arm: ArmFact) -> None:
        """Keep the newest state of the arm."""
        if arm.arm == self.arm:
            self.fact = arm

    def add_calls(self, calls: Sequence[MeasuredCall]) -> None:
        """Keep measured calls."""
        self.calls += calls
