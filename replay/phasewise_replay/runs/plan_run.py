"""One run in progress: what each arm has become, and its blocks on an engine that is started.

`run` drives it beside a store; `gpu.session` drives several of them on one engine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson
from phasewise_store.errors import EngineError, MissingExtraError, UnsupportedArmError
from phasewise_store.run_facts import Arm as ArmFact
from phasewise_store.run_facts import ArmStatus

from phasewise_replay.driving.driver import Pace
from phasewise_replay.engine import Engine, Resolved
from phasewise_replay.plans.arms import Arm, ManagedArm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.plan_yaml import arm_document
from phasewise_replay.records import arm_record
from phasewise_replay.records.arm_record import ArmForecast, ArmRecord, BlockRecord
from phasewise_replay.records.recording import Recording
from phasewise_replay.records.sink import Sink
from phasewise_replay.runs.block import Block, Joules, Turn, Written, unknown
from phasewise_replay.runs.chosen_endpoints import with_forced_lengths
from phasewise_replay.runs.equalising import Equalised, equalised
from phasewise_replay.runs.forced_tokens import with_cure, with_forced_tokens
from phasewise_replay.runs.preparing import Prepared, prepare
from phasewise_replay.sessions.recorded import Recorded

Step = Callable[[int, int, str], None]
"""called with: calls measured, calls in total, and what is happening now"""
Forecast = Callable[[Plan, Arm, Resolved, Prepared, Written], ArmForecast | None]
"""the last are the baseline's outputs, empty before it has run"""


def no_forecast(
    plan: Plan, arm: Arm, resolved: Resolved, prepared: Prepared, written: Written
) -> None:
    """Forecast nothing, as on a machine without what it needs."""


@dataclass(slots=True)
class _ArmState:
    """The state of an arm during the run."""

    place: int
    status: ArmStatus = "ok"
    reason: str | None = None
    resolved: Resolved | None = None
    prepared: Prepared | None = None
    forecast: ArmForecast | None = None
    equalised: Equalised | None = None
    started: Arm | None = None
    """the arm with the flags that the plan adds"""
    blocks: list[BlockRecord] = field(default_factory=list)
    record: str = "{}"
    """as stored last, also by the part of the run that this one continues"""


class PlanRun:
    """A plan, its sessions, and the state of its arms."""

    def __init__(
        self,
        recording: Recording,
        plan: Plan,
        *,
        run_id: str,
        recorded: Recorded,
        step: Step | None = None,
        joules: Joules = unknown,
        machine: Mapping[str, object] | None = None,
        forecast: Forecast = no_forecast,
        done: Mapping[str, ArmFact] | None = None,
    ) -> None:
        """Begin, or continue where a run ended: `done` are its arms as stored."""
        self.plan = plan
        stored = done or {}
        self._arms = {
            arm.name: _state(place, stored.get(arm.name)) for place, arm in enumerate(plan.arms)
        }
        self._recording = recording
        self._run_id = run_id
        self._recorded = recorded
        self._step = step
        self._joules = joules
        self._machine = machine or {}
        self._forecast = forecast
        self._written: Written = {}
        self._total = recorded.calls * len(plan.turns())
        self._done = 0
        for arm in plan.arms:
            self._record(arm)

    def left(self, arm: Arm, blocks: Sequence[int]) -> list[int]:
        """Return those of the blocks that are not complete yet."""
        complete = {block.block for block in self._arms[arm.name].blocks}
        return [block for block in blocks if block not in complete]

    def runs(self, arm: Arm) -> bool:
        """Return whether the plan has the arm, and nothing has kept it from running so far."""
        return arm.name in self._arms and self._arms[arm.name].status == "ok"

    def as_started(self, arm: Arm) -> Arm:
        """Return the arm with the flags that the plan needs for its endpoint and what it forces.

        And those of `equalise`. Its own flags win. Raises UnsupportedArmError where its engine
        cannot do what the plan asks.
        """
        state = self._arms[arm.name]
        started = with_forced_tokens(with_forced_lengths(arm, self.plan), self.plan)
        if self.plan.equalise is not None:
            baseline = arm_record.read(self._arms[self.plan.arms[0].name].record)
            state.equalised = equalised(
                started, None if state.place == 0 else baseline, self.plan.equalise
            )
            started = state.equalised.arm
        state.started = started
        return started

    def turn(self, arm: Arm, engine: Engine, resolved: Resolved, blocks: Sequence[int]) -> None:
        """Run blocks of an arm on its engine, which is started."""
        state = self._arms[arm.name]
        if state.resolved is None:
            state.resolved = resolved
            self.say(f"preparing {arm.name}")
            pace = Pace(self.plan.tool_time, self.plan.longest_wait_s)
            free = self.plan.mode == "quality"
            if free and resolved.basis == "simulated":
                raise UnsupportedArmError(
                    "the simulator writes no text whose quality could be judged"
                )
            state.prepared = prepare(
                self._recorded.sessions,
                engine,
                resolved,
                pace,
                thinking=self.plan.thinking,
                free=free,
                endpoint=self.plan.endpoint,
                forced=self.plan.forced,
            )
            if self.plan.forecast is not None:
                self.say(f"forecasting {arm.name}")
                state.forecast = self._forecast(
                    self.plan, arm, resolved, state.prepared, self._written
                )
        for place, block in enumerate(blocks):
            warmup = self.plan.warmup_calls if place == 0 else 0
            self._block(arm, engine, resolved, block=block, warmup=warmup)
            self._record(arm)

    def give_up(self, arm: Arm, error: EngineError | MissingExtraError) -> None:
        """Record that an arm cannot run here, or that its engine failed."""
        state = self._arms[arm.name]
        cannot = isinstance(error, UnsupportedArmError | MissingExtraError)
        state.status, state.reason = "unsupported" if cannot else "failed", str(error)
        if cannot and self.plan.forced == "tokens":
            state.reason = with_cure(state.reason)
        self._record(arm)

    def skip(self, arm: Arm, reason: str) -> None:
        """Record that an arm could have run and did not."""
        state = self._arms[arm.name]
        state.status, state.reason = "skipped", reason
        self._record(arm)

    def pass_over(self, blocks: Sequence[int]) -> None:
        """Count blocks that will not run as done."""
        self._done += self._recorded.calls * len(blocks)

    def say(self, label: str) -> None:
        """Report the progress."""
        if self._step is not None:
            self._step(min(self._done, self._total), self._total, label)

    def _block(
        self, arm: Arm, engine: Engine, resolved: Resolved, *, block: int, warmup: int
    ) -> None:
        state = self._arms[arm.name]
        assert state.prepared is not None
        before = self._done
        self.say(f"{arm.name}, block {block}")

        def tick() -> None:
            self._done += 1
            self.say(f"{arm.name}, block {block}")

        turn = Turn(self._run_id, arm.name, block)
        # a server at an address may be on another machine
        joules = self._joules if isinstance(arm, ManagedArm) else unknown
        work = Block(turn, engine, resolved, state.prepared, joules=joules)
        if resolved.basis == "measured":
            work.warm_up(warmup)
        with Sink(self._recording, tick) as sink:
            record = work.run(sink, concurrency=self.plan.concurrency)
        self._done = before + self._recorded.calls
        state.blocks.append(record)
        if state.place == 0 and self.plan.forecast is not None:
            self._written = work.written

    def _record(self, arm: Arm) -> None:
        state = self._arms[arm.name]
        resolved = state.resolved
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
                step_times=resolved.step_times,
                forecast=state.forecast,
                machine=self._machine if isinstance(arm, ManagedArm) else {},
                equalised={} if state.equalised is None else state.equalised.flags,
                unequal={} if state.equalised is None else state.equalised.reasons,
                endpoints={} if state.prepared is None else state.prepared.endpoints,
                notes=() if state.prepared is None else state.prepared.notes,
            )
            state.record = arm_record.encode(replace(made, blocks=tuple(state.blocks)))
        self._recording.put_arm(
            ArmFact(
                self._run_id,
                arm.name,
                state.place,
                arm.engine,
                config=orjson.dumps(arm_document(state.started or arm), default=str).decode(),
                resolved=state.record,
                status=state.status,
                reason=state.reason,
            )
        )


def _state(place: int, stored: ArmFact | None) -> _ArmState:
    """Return an arm's state: new, or with the blocks that count; what failed is tried again."""
    record = None if stored is None else arm_record.decode(stored)
    if stored is None or record is None:
        return _ArmState(place)
    blocks = tuple(block for block in record.blocks if block.void is None)
    return _ArmState(
        place, blocks=list(blocks), record=arm_record.encode(replace(record, blocks=blocks))
    )
