"""Run a replay plan: every block of every arm in order; each call is stored as it is measured.

An engine runs for as long as consecutive blocks belong to its arm and is stopped before that of the
next arm starts, so two servers never share a GPU. An arm that cannot run here is recorded with the
engine's reason, and the run continues.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import orjson
from phasewise_store import runs
from phasewise_store.causes import was_interrupted
from phasewise_store.errors import (
    EngineError,
    MissingExtraError,
    StoreError,
    UnsupportedArmError,
)
from phasewise_store.runs import ArmStatus
from phasewise_store.store import Store

from phasewise_replay import arm_record, sessions
from phasewise_replay.arm_record import ArmRecord, BlockRecord
from phasewise_replay.block import Block, Turn
from phasewise_replay.driver import Pace
from phasewise_replay.engine import Engine, Resolved
from phasewise_replay.engines import engine_of
from phasewise_replay.plan import Arm, Plan, SimulatedArm, arm_document, as_yaml
from phasewise_replay.preparing import Prepared, prepare
from phasewise_replay.sessions import Recorded
from phasewise_replay.sink import Sink

Step = Callable[[int, int, str], None]
"""called with: calls measured, calls in total, and what is happening now"""


def run(
    store: Store,
    plan: Plan,
    *,
    step: Step | None = None,
    engine_for: Callable[[Arm], Engine] = engine_of,
) -> str:
    """Run the plan and return the run's id; raises UsageError when there is nothing to replay."""
    plan.check_arms()
    recorded = sessions.load(store, plan.sessions)
    started_ns = time.time_ns()
    run_id = _new_id(store, plan.name, started_ns)
    runs.add_run(store, runs.Run(run_id, plan.name, as_yaml(plan), started_ns))
    work = _Work(store, plan, run_id=run_id, recorded=recorded, step=step, engine_for=engine_for)
    try:
        work.all_turns()
    except BaseException as error:
        if was_interrupted(error):
            runs.finish_run(store, run_id, "interrupted", time.time_ns(), "stopped by the user")
        else:
            runs.finish_run(store, run_id, "failed", time.time_ns(), f"{error}")
        raise
    ended = [state for state in work.arms.values() if state.status == "ok"]
    detail = None if ended else "no arm can run on this machine"
    runs.finish_run(store, run_id, "finished" if ended else "failed", time.time_ns(), detail)
    return run_id


def _new_id(store: Store, name: str, started_ns: int) -> str:
    """Name a run by its plan and its start time."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "run"
    when = datetime.fromtimestamp(started_ns / 1e9, UTC).strftime("%Y%m%d-%H%M%S")
    taken = {one.run_id for one in runs.runs(store)}
    tries = (f"{plain}-{when}" + (f"-{again}" if again else "") for again in range(10_000))
    found = next((one for one in tries if one not in taken), None)
    if found is None:
        raise StoreError(f"10,000 runs named `{plain}` started in one second")
    return found


@dataclass(slots=True)
class _ArmState:
    """The state of an arm during the run."""

    place: int
    status: ArmStatus = "ok"
    reason: str | None = None
    resolved: Resolved | None = None
    prepared: Prepared | None = None
    blocks: list[BlockRecord] = field(default_factory=list)


class _Work:
    """One run in progress."""

    def __init__(
        self,
        store: Store,
        plan: Plan,
        *,
        run_id: str,
        recorded: Recorded,
        step: Step | None,
        engine_for: Callable[[Arm], Engine],
    ) -> None:
        self.arms = {arm.name: _ArmState(place) for place, arm in enumerate(plan.arms)}
        self._store = store
        self._plan = plan
        self._run_id = run_id
        self._recorded = recorded
        self._step = step
        self._engine_for = engine_for
        self._total = recorded.calls * len(plan.turns())
        self._done = 0

    def all_turns(self) -> None:
        """Run all turns; consecutive turns of one arm share its engine."""
        for arm in self._plan.arms:
            self._record(arm)
        turns = self._plan.turns()
        while turns:
            arm = turns[0][0]
            group = [block for one, block in _leading(turns, arm)]
            turns = turns[len(group) :]
            if self.arms[arm.name].status == "ok":
                self._turns_of(arm, group)
                self._record(arm)
            else:
                self._done += self._recorded.calls * len(group)

    def _turns_of(self, arm: Arm, blocks: list[int]) -> None:
        state = self.arms[arm.name]
        try:
            with self._started(arm, state) as (engine, resolved):
                for place, block in enumerate(blocks):
                    warmup = self._plan.warmup_calls if place == 0 else 0
                    self._block(arm, state, engine, resolved, block=block, warmup=warmup)
                    self._record(arm)
        except (UnsupportedArmError, MissingExtraError) as error:
            state.status, state.reason = "unsupported", str(error)
        except EngineError as error:
            state.status, state.reason = "failed", str(error)

    @contextmanager
    def _started(self, arm: Arm, state: _ArmState) -> Iterator[tuple[Engine, Resolved]]:
        self._say(f"starting {arm.name}")
        if isinstance(arm, SimulatedArm) and self._plan.concurrency > 1:
            raise UnsupportedArmError(
                "the simulator serves one session at a time; set `concurrency: 1`"
            )
        engine = self._engine_for(arm)
        try:
            resolved = engine.start()
            if state.resolved is None:
                state.resolved = resolved
                pace = Pace(self._plan.tool_time, self._plan.longest_wait_s)
                self._say(f"preparing {arm.name}")
                state.prepared = prepare(
                    self._recorded.sessions,
                    engine,
                    resolved,
                    pace,
                    thinking=self._plan.thinking,
                )
            yield engine, resolved
        finally:
            engine.stop()

    def _block(
        self,
        arm: Arm,
        state: _ArmState,
        engine: Engine,
        resolved: Resolved,
        *,
        block: int,
        warmup: int,
    ) -> None:
        assert state.prepared is not None
        before = self._done
        self._say(f"{arm.name}, block {block}")

        def tick() -> None:
            self._done += 1
            self._say(f"{arm.name}, block {block}")

        turn = Turn(self._run_id, arm.name, block)
        work = Block(turn, engine, resolved, state.prepared)
        if resolved.basis == "measured":
            work.warm_up(warmup)
        with Sink(self._store, tick) as sink:
            record = work.run(sink, concurrency=self._plan.concurrency)
        self._done = before + self._recorded.calls
        state.blocks.append(record)

    def _record(self, arm: Arm) -> None:
        state = self.arms[arm.name]
        resolved = state.resolved
        record = "{}"
        if resolved is not None:
            made = ArmRecord(
                engine=resolved.engine,
                model=resolved.model,
                basis=resolved.basis,
                version=resolved.version,
                prefix_caching=resolved.prefix_caching,
                block_tokens=resolved.block_tokens,
                blocks_of_kv=resolved.blocks,
                max_model_tokens=resolved.max_model_tokens,
                resets=resolved.resets,
                settings=resolved.settings,
            )
            record = arm_record.encode(replace(made, blocks=tuple(state.blocks)))
        runs.put_arm(
            self._store,
            runs.Arm(
                self._run_id,
                arm.name,
                state.place,
                arm.engine,
                config=orjson.dumps(arm_document(arm), default=str).decode(),
                resolved=record,
                status=state.status,
                reason=state.reason,
            ),
        )

    def _say(self, label: str) -> None:
        if self._step is not None:
            self._step(min(self._done, self._total), self._total, label)


def _leading(turns: list[tuple[Arm, int]], arm: Arm) -> Iterator[tuple[Arm, int]]:
    for one, block in turns:
        if one.name != arm.name:
            return
        yield one, block
