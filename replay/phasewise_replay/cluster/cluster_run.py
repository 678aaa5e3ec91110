"""Run a replay plan on a cluster: shards beside each other, results stored as visits finish.

A lost node costs time: its visit is done again elsewhere, and only a finished visit is stored. What
is stored stays when this process dies; `resume` does the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from phasewise_store import runs
from phasewise_store.errors import UsageError
from phasewise_store.run_facts import Arm as ArmFact
from phasewise_store.store import Store

from phasewise_replay.cluster import arm_parts, needs
from phasewise_replay.cluster.cluster import Ahead, Cluster, Lost
from phasewise_replay.cluster.shards import Shard, Visit, most_shards, split
from phasewise_replay.cluster.visiting import Visited, Work, version
from phasewise_replay.plans.arms import Arm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.runs import continuing
from phasewise_replay.runs.continuing import Continuation
from phasewise_replay.runs.plan_run import PlanRun, Step
from phasewise_replay.runs.run_record import StoreRecording, begin, ending
from phasewise_replay.sessions import selection, sessions
from phasewise_replay.sessions.recorded import Recorded


def run(store: Store, plan: Plan, cluster: Cluster, *, step: Step | None = None) -> str:
    """Run the plan and return the run's id.

    In as many shards as it says, or as the cluster has room for. Raises UsageError when there is
    nothing to replay, and where an arm cannot run in shards.
    """
    plan.check_arms()
    if plan.forecast is not None:
        raise UsageError("a run on a cluster makes no forecasts: leave `forecast` out of the plan")
    if plan.equalise is not None:
        raise UsageError(
            "a run on a cluster starts arms before it knows what the baseline's engine reports: "
            "leave `equalise` out of the plan, and set the flags of both engines"
        )
    sizes = _sizes(plan)
    recorded = sessions.load_for(store, plan)
    whole = _sharded(plan, recorded, cluster, sizes)
    run_id = begin(store, whole, recorded)
    work = _Work(store, whole, run_id=run_id, recorded=recorded, done={}, step=step)
    return work.through(cluster, sizes)


def resume(store: Store, plan: Plan, cluster: Cluster, *, step: Step | None = None) -> str:
    """Continue the newest unfinished run of the same plan, in the shards that it began with.

    Blocks that are complete stay, unless the sessions of their shard have changed since.
    """
    before = continuing.last(store, plan, any_shards=plan.shards == 1)
    if before is None:
        return run(store, plan, cluster, step=step)
    whole, recorded = replace(plan, shards=before.shards), sessions.load_for(store, plan)
    before = before.keeping(_unchanged(store, before, split(recorded, whole, before.run_id), whole))
    before.go_on(store)
    runs.choose_again(store, before.run_id, selection.encode(recorded.selections))
    work = _Work(store, whole, run_id=before.run_id, recorded=recorded, done=before.arms, step=step)
    return work.through(cluster, _sizes(plan))


def _unchanged(
    store: Store, before: Continuation, shards: Sequence[Shard], plan: Plan
) -> set[tuple[str, int]]:
    """Return the complete blocks that sent all calls of their shard, and no others."""
    sent: dict[tuple[str, int], set[str]] = {}
    rows = runs.sent(store, before.run_id).select("arm", "block", "call_id")
    for arm, block, call_id in rows.iter_rows():
        sent.setdefault((arm, block), set()).add(call_id)
    calls = [
        {step.call_id for session in shard.recorded.sessions for step in session.steps}
        for shard in shards
    ]
    found = set()
    for place, skipped in before.complete().items():
        due, served = calls[place[1] // plan.shard_blocks], sent.get(place, set())
        if served <= due and len(served) == len(due) - skipped:
            found.add(place)
    return found


def _sizes(plan: Plan) -> dict[str, int]:
    """Return the GPUs that each arm needs."""
    return {arm.name: needs.gpus(arm) for arm in plan.arms}


def _sharded(plan: Plan, recorded: Recorded, cluster: Cluster, sizes: Mapping[str, int]) -> Plan:
    most = most_shards(recorded, plan)
    if plan.shards > most:
        raise UsageError(
            f"{plan.shards} shards of {len(recorded.sessions)} sessions: with a concurrency of "
            f"{plan.concurrency}, at most {most}"
        )
    if plan.shards > 1:
        return plan
    return replace(plan, shards=max(1, min(most, cluster.room(_held(sizes, cluster)))))


def _held(sizes: Mapping[str, int], cluster: Cluster) -> int:
    """Return the GPUs that a shard holds: those of its largest arm that fits on a node."""
    largest = cluster.largest()
    return max((size for size in sizes.values() if size <= largest), default=0)


class _Work:
    """The run as it is in the store, and how far it is."""

    def __init__(
        self,
        store: Store,
        plan: Plan,
        *,
        run_id: str,
        recorded: Recorded,
        done: Mapping[str, ArmFact],
        step: Step | None,
    ) -> None:
        self._store = store
        self._plan = plan
        self._run_id = run_id
        self._step = step
        self._recording = StoreRecording(store)
        # writes every arm: as new, or with the blocks that are complete
        PlanRun(self._recording, plan, run_id=run_id, recorded=recorded, done=done)
        self._arms = {arm.arm: arm for arm in runs.arms(store, run_id)}
        self._shards = split(recorded, plan, run_id)
        self._sizes = {shard.number: shard.recorded.calls for shard in self._shards}
        self._total = sum(self._sizes.values()) * len(plan.turns())
        self._done = 0

    def through(self, cluster: Cluster, sizes: Mapping[str, int]) -> str:
        """Do what is left, and record how the run ended; return its id."""
        with ending(self._store, self._run_id) as ran:
            for arm in self._plan.arms:
                if sizes[arm.name] > cluster.largest():
                    self._cannot(arm, sizes[arm.name], cluster.largest())
            left = [one for shard in self._shards if (one := self._left(shard)).visits]
            for event in cluster.serve(left, _held(sizes, cluster), self._work_of):
                match event:
                    case Visited():
                        self._finished(event)
                    case Lost():
                        self._lost(event)
                    case Ahead():
                        self._say(event)
            ran(any(arm.status == "ok" for arm in self._arms.values()))
        return self._run_id

    def _left(self, shard: Shard) -> Shard:
        """Return the shard with the blocks that are not complete."""
        found = []
        for visit in shard.visits:
            complete = arm_parts.blocks(self._arms[visit.arm])
            blocks = tuple(block for block in visit.blocks if block not in complete)
            self._done += self._sizes[shard.number] * (len(visit.blocks) - len(blocks))
            if blocks:
                found.append(replace(visit, blocks=blocks))
        return replace(shard, visits=tuple(found))

    def _work_of(self, visit: Visit) -> Work | None:
        """Return what a node needs for a visit; None where its arm cannot run, or has failed."""
        if self._arms[visit.arm].status != "ok":
            self._done += self._calls(visit)
            return None
        return Work(visit, self._plan, version())

    def _finished(self, result: Visited) -> None:
        """Store the results of a visit."""
        visit = result.visit
        # calls first: a block counts once its arm lists it
        self._recording.add_calls(result.calls)
        self._put(arm_parts.joined(self._arms[visit.arm], result.arm, shard=visit.shard))
        self._done += self._calls(visit)

    def _lost(self, event: Lost) -> None:
        """Give an arm up whose visit no node could finish."""
        visit = event.visit
        reason = f"shard {visit.shard}, {event.reason}"
        self._put(replace(self._arms[visit.arm], status="failed", reason=reason))
        self._done += self._calls(visit)

    def _cannot(self, arm: Arm, gpus: int, largest: int) -> None:
        """Record that no node has enough GPUs for an arm."""
        reason = f"it needs {gpus} GPUs on one node; the largest of the cluster has {largest}"
        self._put(replace(self._arms[arm.name], status="unsupported", reason=reason))

    def _say(self, ahead: Ahead) -> None:
        """Report the progress."""
        if self._step is None:
            return
        waiting = f", {ahead.waiting} waiting for GPUs" if ahead.waiting else ""
        label = f"{ahead.running} of {self._plan.shards} shards running{waiting}"
        self._step(min(self._done + ahead.calls, self._total), self._total, label)

    def _calls(self, visit: Visit) -> int:
        return self._sizes[visit.shard] * len(visit.blocks)

    def _put(self, arm: ArmFact) -> None:
        self._arms[arm.arm] = arm
        self._recording.put_arm(arm)
