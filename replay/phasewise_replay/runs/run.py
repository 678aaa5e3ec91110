"""Run a replay plan: every block of every arm in order; each call is stored as it is measured.

An engine runs for as long as consecutive blocks belong to its arm and is stopped before that of the
next arm starts, so two servers never share a GPU. An arm that cannot run here is recorded with the
engine's reason, and the run continues.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from phasewise_analyzer.engine.speculation.config import SpeculationConfig
from phasewise_analyzer.engine.speculation.drafted_calls import DraftedCalls
from phasewise_store import runs
from phasewise_store.causes import was_interrupted
from phasewise_store.errors import (
    EngineError,
    MissingExtraError,
    StoreError,
)
from phasewise_store.run_facts import Arm as ArmFact
from phasewise_store.run_facts import MeasuredCall, Run
from phasewise_store.scope import EVERYTHING
from phasewise_store.store import Store

from phasewise_replay.engine import Engine, started
from phasewise_replay.engines.engine_of_arm import engine_of
from phasewise_replay.gpu import machine
from phasewise_replay.plans.plan import Arm, Plan, SessionChoice, as_yaml
from phasewise_replay.records import arm_record
from phasewise_replay.runs.forecast import forecast
from phasewise_replay.runs.plan_run import PlanRun, Step
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
    recorded = sessions.load(store, plan.sessions)
    started_ns = time.time_ns()
    run_id = new_id(store, plan.name, started_ns)
    runs.add_run(store, Run(run_id, plan.name, as_yaml(plan), started_ns))
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
    same = as_yaml(plan)
    last = next((one for one in runs.runs(store) if one.plan == same), None)
    done = {} if last is None else {arm.arm: arm for arm in runs.arms(store, last.run_id)}
    failed = any(arm.status == "failed" for arm in done.values())
    if last is None or (last.status == "finished" and not failed):
        return run(store, plan, step=step, engine_for=engine_for)
    complete = {
        (arm.arm, block.block)
        for arm in done.values()
        if (record := arm_record.decode(arm)) is not None
        for block in record.blocks
        if block.void is None
    }
    runs.continue_run(store, last.run_id, complete)
    sent = runs.measured(store, last.run_id)
    if not sent.height:
        recorded = sessions.load(store, plan.sessions)
    else:
        ids = tuple(sent["session_id"].unique(maintain_order=True))
        loaded = sessions.load(store, SessionChoice(limit=None, ids=ids))
        recorded = _only(loaded, set(sent["call_id"]))
    return _run(store, plan, last.run_id, recorded, step=step, engine_for=engine_for, done=done)


def _only(recorded: Recorded, call_ids: Set[str]) -> Recorded:
    kept = (
        replace(one, steps=tuple(step for step in one.steps if step.call_id in call_ids))
        for one in recorded.sessions
    )
    return replace(recorded, sessions=tuple(kept))


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
    try:
        work = PlanRun(
            StoreRecording(store),
            plan,
            run_id=run_id,
            recorded=recorded,
            step=step,
            machine={"gpus": machine.gpus()},
            forecast=forecast,
            done=done,
        )
        _all_turns(work, engine_for or _engines(store, recorded))
    except BaseException as error:
        if was_interrupted(error):
            runs.finish_run(store, run_id, "interrupted", time.time_ns(), "stopped by the user")
        else:
            runs.finish_run(store, run_id, "failed", time.time_ns(), f"{error}")
        raise
    ended = any(work.runs(arm) for arm in plan.arms)
    detail = None if ended else "no arm can run on this machine"
    runs.finish_run(store, run_id, "finished" if ended else "failed", time.time_ns(), detail)
    return run_id


def _engines(store: Store, recorded: Recorded) -> Callable[[Arm], Engine]:
    """Return how engines are made beside a store, which has the recorded outputs."""
    call_ids = [step.call_id for session in recorded.sessions for step in session.steps]

    def drafting(config: SpeculationConfig) -> DraftedCalls:
        return stored_workload.computed(store, EVERYTHING, call_ids, config)

    return partial(engine_of, drafting=drafting)


class StoreRecording:
    """Writes what a run measures to the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put_arm(self, arm: ArmFact) -> None:
        """Write an arm, or what became of it."""
        runs.put_arm(self._store, arm)

    def add_calls(self, calls: Sequence[MeasuredCall]) -> None:
        """Write measured calls."""
        runs.add_measured(self._store, calls)


def new_id(store: Store, name: str, started_ns: int) -> str:
    """Name a run by its plan and its start time; no other run has the name."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "run"
    when = datetime.fromtimestamp(started_ns / 1e9, UTC).strftime("%Y%m%d-%H%M%S")
    taken = {one.run_id for one in runs.runs(store)}
    tries = (f"{plain}-{when}" + (f"-{again}" if again else "") for again in range(10_000))
    found = next((one for one in tries if one not in taken), None)
    if found is None:
        raise StoreError(f"10,000 runs named `{plain}` started in one second")
    return found


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
