"""A run in shards: the same verdict as on one machine, whatever the order of the results."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from phasewise_replay.cluster import arm_parts, cluster_run
from phasewise_replay.cluster.cluster import Ahead, Lost, WorkOf
from phasewise_replay.cluster.shards import Shard, Visit
from phasewise_replay.cluster.visiting import Visited, do
from phasewise_replay.plans.arms import SglangArm, SimulatedArm, SimulatedOptions, VllmArm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.records import arm_record
from phasewise_replay.records.arm_record import ArmRecord, BlockRecord
from phasewise_replay.runs.run import run
from phasewise_replay.verdicts.compare import compare
from phasewise_store import runs
from phasewise_store.errors import UsageError
from phasewise_store.run_facts import Arm
from phasewise_store.store import Store

from tests.replay.recorded import SOURCE, write_sessions


def simulated(name: str, *, caching: bool) -> SimulatedArm:
    """Make an arm of the engine model."""
    options = SimulatedOptions(gpu="h100-sxm", model="llama-3.1-8b", prefix_caching=caching)
    return SimulatedArm(name, options)


ARMS = (simulated("without", caching=False), simulated("with", caching=True))
PLAN = Plan("caching", ARMS, SessionChoice(source=SOURCE))

Change = Callable[[Visited], Visited | Lost]


class Here:
    """A cluster of so many nodes that does visits in this process, the last shard first."""

    def __init__(
        self, nodes: int = 3, *, gpus: int = 8, change: Change = lambda done: done, stop: int = 99
    ) -> None:
        self.nodes = nodes
        self.visited: list[Visit] = []
        self._gpus = gpus
        self._change = change
        self._stop = stop

    def room(self, gpus: int) -> int:
        """Give each node one engine."""
        return self.nodes

    def largest(self) -> int:
        """Give all nodes as many GPUs."""
        return self._gpus

    def serve(
        self, shards: Sequence[Shard], gpus: int, work_of: WorkOf
    ) -> Iterator[Visited | Lost | Ahead]:
        """Do one visit of each shard in turn."""
        longest = max((len(shard.visits) for shard in shards), default=0)
        for place in range(longest):
            for shard in reversed(shards):
                if place < len(shard.visits) and (work := work_of(shard.visits[place])) is not None:
                    if len(self.visited) == self._stop:
                        raise KeyboardInterrupt
                    self.visited.append(work.visit)
                    yield self._change(do(work, shard.recorded, lambda calls: None))
                    yield Ahead(0, 1, 0)


@pytest.fixture
def store() -> Iterator[Store]:
    """Give a store with eight sessions."""
    with Store.in_memory() as store:
        write_sessions(store, sessions=8)
        yield store


def test_shards_give_the_verdict_of_one_machine(store: Store) -> None:
    """Simulated engines are exact: every measure has the same means and interval."""
    alone = compare(store, run(store, PLAN))
    sharded = compare(store, cluster_run.run(store, PLAN, Here()))
    assert sharded.fidelity.passed
    assert (sharded.sessions, sharded.calls) == (alone.sessions, alone.calls)
    here = {one.name: one for one in sharded.metrics}
    for one in alone.metrics:
        if one.name in ("cached_share", "computed_tokens"):
            # a shard begins cold: the first session of each computes the system prompt
            continue
        assert here[one.name].verdict == one.verdict
    assert sharded.control.passed


def test_progress_reaches_all_calls(store: Store) -> None:
    """Done and total, in calls of all blocks."""
    seen: list[tuple[int, int]] = []
    cluster_run.run(store, PLAN, Here(), step=lambda done, total, label: seen.append((done, total)))
    assert {total for _, total in seen} == {6 * 32}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == 6 * 32


def test_what_is_cut_is_done_and_nothing_twice(store: Store) -> None:
    """Ctrl-C after four of nine visits: five are left, and the run is the same one."""
    with pytest.raises(KeyboardInterrupt):
        cluster_run.run(store, PLAN, Here(stop=4))
    (found,) = runs.runs(store)
    assert found.status == "interrupted"
    rest = Here(nodes=1)
    run_id = cluster_run.resume(store, PLAN, rest)
    assert run_id == found.run_id
    assert len(rest.visited) == 5
    calls = runs.measured(store, run_id)
    assert calls.select("arm", "block", "call_id").n_unique() == calls.height == 6 * 32
    assert compare(store, run_id).fidelity.passed


def test_a_shard_whose_sessions_have_changed_runs_again(store: Store) -> None:
    """A new session moves others between shards: what no longer fits is dropped, then run."""
    with pytest.raises(KeyboardInterrupt):
        cluster_run.run(store, PLAN, Here(stop=4))
    write_sessions(store, sessions=10)
    run_id = cluster_run.resume(store, PLAN, Here())
    verdict = compare(store, run_id)
    assert verdict.fidelity.passed
    assert verdict.sessions == 10


def test_nodes_that_differ_void_the_run(store: Store) -> None:
    """One shard ran on an engine with another block size."""

    def other(done: Visited) -> Visited:
        record = arm_record.decode(done.arm)
        assert record is not None
        if done.visit.shard != 1 or done.visit.arm != "with":
            return done
        changed = replace(record, block_tokens=64)
        return replace(done, arm=replace(done.arm, resolved=arm_record.encode(changed)))

    verdict = compare(store, cluster_run.run(store, PLAN, Here(change=other)))
    failed = {check.name: check.detail for check in verdict.fidelity.checks if not check.passed}
    assert failed == {"even_nodes": "with, shard 1: block_tokens is 64, elsewhere 16"}


@pytest.mark.parametrize("moved", [False, True])
def test_endpoints_are_compared_over_all_shards(store: Store, moved: bool) -> None:
    """Each shard has sessions of its own; an arm that sends some of them elsewhere is no match."""

    def told(done: Visited) -> Visited:
        record = arm_record.decode(done.arm)
        assert record is not None
        elsewhere = moved and done.visit.arm == "with"
        endpoint = "messages" if done.visit.shard == 0 and not elsewhere else "chat"
        changed = replace(record, endpoints={endpoint: 2})
        return replace(done, arm=replace(done.arm, resolved=arm_record.encode(changed)))

    verdict = compare(store, cluster_run.run(store, PLAN, Here(change=told)))
    check = next(one for one in verdict.fidelity.checks if one.name == "endpoints")
    assert check.passed != moved


def test_an_arm_that_no_node_can_finish_fails_and_the_others_go_on(store: Store) -> None:
    """Its other visits are left out."""

    def lost(done: Visited) -> Visited | Lost:
        return Lost(done.visit, "lost 4 times") if done.visit.arm == "with" else done

    here = Here(change=lost)
    verdict = compare(store, cluster_run.run(store, PLAN, here))
    assert [(arm.status, arm.reason) for arm in verdict.arms] == [
        ("ok", None),
        ("failed", "shard 2, lost 4 times"),
    ]
    assert len([visit for visit in here.visited if visit.arm == "with"]) == 1


def test_an_arm_that_failed_stays_failed_when_another_shard_ends_well() -> None:
    """Its visit was under way when the other was lost; without that shard the arm is not whole."""
    ready = Arm("run", "with", 1, "vllm", config="{}", resolved="{}", status="ok")
    lost = replace(ready, status="failed", reason="shard 2, lost 4 times")
    record = arm_record.encode(ArmRecord("vllm", "m", "measured", blocks=(BlockRecord(8, 0),)))
    found = arm_parts.joined(lost, replace(ready, resolved=record), shard=2)
    assert (found.status, found.reason) == ("failed", "shard 2, lost 4 times")
    assert arm_parts.blocks(found) == {8}


def test_an_arm_that_is_larger_than_a_node_cannot_run(store: Store) -> None:
    """The others do."""
    large = VllmArm("large", "m", flags={"tensor-parallel-size": 16})
    plan = replace(PLAN, arms=(*ARMS, large))
    verdict = compare(store, cluster_run.run(store, plan, Here()))
    assert [(arm.name, arm.status) for arm in verdict.arms] == [
        ("without", "ok"),
        ("with", "ok"),
        ("large", "unsupported"),
    ]
    assert verdict.arms[2].reason == (
        "it needs 16 GPUs on one node; the largest of the cluster has 8"
    )


def test_more_shards_than_sessions_are_refused(store: Store) -> None:
    """Each shard needs as many sessions as are in flight."""
    plan = replace(PLAN, shards=5, concurrency=2)
    with pytest.raises(UsageError, match="with a concurrency of 2, at most 4"):
        cluster_run.run(store, plan, Here())


def test_arms_are_not_equalised_on_a_cluster(store: Store) -> None:
    """An arm may start before the baseline has on that node."""
    arms = (VllmArm("v", "m"), SglangArm("s", "m"))
    with pytest.raises(UsageError, match="leave `equalise` out of the plan, and set the flags"):
        cluster_run.run(store, replace(PLAN, arms=arms, equalise={}), Here())


def test_shards_without_a_cluster_are_refused(store: Store) -> None:
    """On one machine there is nothing to run beside each other."""
    with pytest.raises(UsageError, match="--cluster"):
        run(store, replace(PLAN, shards=2))
