"""Run a replay plan: every block of every arm in order; each call is stored as it is measured.

An engine runs for as long as consecutive blocks belong to its arm and is stopped before that of the
next arm starts, so two servers never share a GPU. An arm that cannot run here is recorded with the
engine's reason, and the run continues.
"""

from collections.abc import Callable, Mapping
from functools import partial

from phasewise_analyzer.engine.speculation.config import SpeculationConfig
from phasewise_analyzer.engine.speculation.drafted_calls import DraftedCalls
from phasewise_store.errors import EngineError, MissingExtraError, UsageError
from phasewise_store.run_facts import Arm as ArmFact
from phasewise_store.scope import EVERYTHING
from phasewise_store.store import Store

from phasewise_replay.engine import Engine, started
from phasewise_replay.engines.engine_of_arm import engine_of
from phasewise_replay.gpu import machine
from phasewise_replay.plans.arms import Arm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.runs import continuing
from phasewise_replay.runs.forecast import forecast
from phasewise_replay.runs.plan_run import PlanRun, Step
from phasewise_replay.runs.run_record import StoreRecording, begin, ending
from phasewise_replay.sessions import sessions, stored_workload
from phasewise_replay.sessions.recorded import Recorded


def run(
    store: Store,
    plan: Plan,
    *,
    step: Step | None = None,
    engine_for: Callable[[Arm], Engine] | None = None,
) -> str:
    """Run the plan and return the run's id; raises UsageError when there is nothing to replay."""
    plan.check_arms()
    if plan.shards != 1:
        raise UsageError("a plan with `shards` runs on a cluster: name it with --cluster")
    recorded = sessions.load_for(store, plan)
    run_id = begin(store, plan, recorded)
    return _run(store, plan, run_id, recorded, step=step, engine_for=engine_for)


def resume(
    store: Store,
    plan: Plan,
    *,
    step: Step | None = None,
    engine_for: Callable[[Arm], Engine] | None = None,
) -> str:
    """Continue the newest run of the same plan that was cut, or of which an arm failed.

    Starts a new one where there is none.

    Blocks that are complete stay, with the calls that they sent: later ones send the same, also
    when the sessions have grown since. The calls of a block that was cut are dropped.
    """
    before = continuing.last(store, plan)
    if before is None:
        return run(store, plan, step=step, engine_for=engine_for)
    before.go_on(store)
    return _run(
        store,
        plan,
        before.run_id,
        before.recorded(store, plan),
        step=step,
        engine_for=engine_for,
        done=before.arms,
    )


def _run(
    store: Store,
    plan: Plan,
    run_id: str,
    recorded: Recorded,
    *,
    step: Step | None,
    engine_for: Callable[[Arm], Engine] | None,
    done: Mapping[str, ArmFact] | None = None,
) -> str:
    """Run what is left of a run, and record how it ended."""
    power = machine.Power()
    with ending(store, run_id) as runs_at_all, power.sampling():
        work = PlanRun(
            StoreRecording(store),
            plan,
            run_id=run_id,
            recorded=recorded,
            step=step,
            joules=power.joules,
            machine={"gpus": machine.gpus()},
            forecast=forecast,
            done=done,
        )
        _all_turns(work, engine_for or _engines(store, recorded))
        runs_at_all(any(work.runs(arm) for arm in plan.arms))
    return run_id


def _engines(store: Store, recorded: Recorded) -> Callable[[Arm], Engine]:
    """Return how engines are made beside a store, which has the recorded outputs."""
    call_ids = [step.call_id for session in recorded.sessions for step in session.steps]

    def drafting(config: SpeculationConfig) -> DraftedCalls:
        return stored_workload.computed(store, EVERYTHING, call_ids, config)

    return partial(engine_of, drafting=drafting)


def _all_turns(work: PlanRun, engine_for: Callable[[Arm], Engine]) -> None:
    """Run all turns; consecutive turns of one arm share its engine."""
    for arm, blocks in work.plan.visits():
        if not work.runs(arm):
            work.pass_over(blocks)
            continue
        left = work.left(arm, blocks)
        work.pass_over([block for block in blocks if block not in left])
        if not left:
            continue
        work.say(f"starting {arm.name}")
        try:
            engine = engine_for(work.as_started(arm))
            with started(engine) as resolved:
                work.turn(arm, engine, resolved, left)
        except (EngineError, MissingExtraError) as error:
            work.give_up(arm, error)
