"""Run a pack on this machine: its arms in order of worth, all stages of an arm on one engine.

The baseline comes first and last. An arm that would not leave the time for the last turn of the
baseline is skipped. What is interrupted keeps the blocks that are complete.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from phasewise_store.errors import EngineError, MissingExtraError, UnsupportedArmError, UsageError
from phasewise_store.run_facts import Run

from phasewise_replay.engine import Engine, Resolved, started
from phasewise_replay.gpu.budget import Budget
from phasewise_replay.gpu.pack_file import Pack, PackedStage
from phasewise_replay.gpu.results_file import FileRecording
from phasewise_replay.gpu.smoke import smoke
from phasewise_replay.plans.arms import Arm, VllmArm
from phasewise_replay.plans.plan_yaml import as_yaml
from phasewise_replay.runs.block import Joules
from phasewise_replay.runs.plan_run import PlanRun
from phasewise_replay.sessions import selection

EngineFor = Callable[[VllmArm], Engine]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of a pack's arms and stages run; empty is all.  The baseline always runs."""

    arms: Sequence[str] = ()
    stages: Sequence[str] = ()


def chosen(pack: Pack, choice: Choice, engine: str) -> list[PackedStage]:
    """Return the stages with the chosen arms and the engine's flags; raises UsageError."""
    known_arms = [arm.name for arm in arms_of(pack.stages)]
    known_stages = [_short(pack, stage) for stage in pack.stages]
    for kind, names, known in (
        ("arm", choice.arms, known_arms),
        ("stage", choice.stages, known_stages),
    ):
        if unknown := [name for name in names if name not in known]:
            raise UsageError(
                f"no {kind} `{unknown[0]}` in the pack; it has {', '.join(map(str, known))}"
            )
    wanted = {known_arms[0], *(choice.arms or known_arms)}
    common = pack.flags.get(engine, {})
    return [
        replace(
            stage,
            plan=replace(
                stage.plan,
                arms=tuple(
                    _with_flags(arm, common, below=True)
                    for arm in stage.plan.arms
                    if arm.name in wanted
                ),
            ),
        )
        for stage in pack.stages
        if not choice.stages or _short(pack, stage) in choice.stages
    ]


def arms_of(stages: Sequence[PackedStage]) -> tuple[VllmArm, ...]:
    """Return the arms of the stage that has the most; the others run some of them."""
    largest = max(stages, key=lambda stage: len(stage.plan.arms))
    return tuple(arm for arm in largest.plan.arms if isinstance(arm, VllmArm))


def execute(
    pack: Pack,
    stages: Sequence[PackedStage],
    recording: FileRecording,
    *,
    budget: Budget,
    engine_for: EngineFor,
    joules: Joules,
    say: Say,
) -> None:
    """Try, then measure; everything is recorded as it happens."""
    outcome = smoke(pack.smoke, arms_of(stages), engine_for)
    for trial in outcome.trials:
        recording.add("smoke", asdict(trial))
        say(f"smoke test {trial.arm}: {trial.error or 'ok'} ({trial.seconds:.0f} s)")
    if outcome.flags:
        recording.add("note", {"text": f"all arms ran with the fallbacks {outcome.flags}"})
        say(f"falling back to {outcome.flags}")
    runs = [_begun(stage, recording, outcome.flags, joules) for stage in stages]
    for run in runs:
        for arm in run.plan.arms:
            if (reason := outcome.unsupported.get(arm.name)) is not None:
                run.give_up(arm, UnsupportedArmError(reason))
    _visits(runs, budget, engine_for, say)


def _begun(
    stage: PackedStage, recording: FileRecording, fallbacks: object, joules: Joules
) -> PlanRun:
    """Record the run of a stage, and what of its sessions is left out."""
    assert isinstance(fallbacks, dict)
    arms = tuple(_with_flags(arm, fallbacks, below=False) for arm in stage.plan.arms)
    plan = replace(stage.plan, arms=arms)
    started_ns = time.time_ns()
    when = datetime.fromtimestamp(started_ns / 1e9, UTC).strftime("%Y%m%d-%H%M%S")
    run_id = f"{re.sub(r'[^A-Za-z0-9_-]+', '-', plan.name)}-{when}"
    chosen = selection.encode(stage.recorded.selections)
    recording.add_run(Run(run_id, plan.name, as_yaml(plan), started_ns, selection=chosen))
    for text in stage.left_out:
        recording.add("note", {"run_id": run_id, "text": f"left out: {text}"})
    return PlanRun(recording, plan, run_id=run_id, recorded=stage.recorded, joules=joules)


def _visits(runs: Sequence[PlanRun], budget: Budget, engine_for: EngineFor, say: Say) -> None:
    """Run each arm's blocks of all stages while its engine is up."""
    baseline_s = longest_s = 0.0
    largest = max(runs, key=lambda run: len(run.plan.arms))
    visits = largest.plan.visits()
    baseline = largest.plan.arms[0]
    for place, (arm, blocks) in enumerate(visits):
        last_turn_s = baseline_s if place + 1 < len(visits) else 0.0
        due = [run for run in runs if run.runs(arm)]
        if not due:
            continue
        if arm.name != baseline.name and budget.left_s() < longest_s + last_turn_s:
            reason = (
                f"{budget.left_s():.0f} s of {budget.seconds:.0f} were left; an arm takes "
                f"{longest_s:.0f}, and the baseline's last turn {last_turn_s:.0f}"
            )
            say(f"{arm.name}: skipped, {reason}")
            for run in due:
                run.skip(arm, reason)
            continue
        began_s = budget.spent_s()
        say(f"{arm.name}: starting, {budget.left_s():.0f} s left")
        _visit(due, arm, blocks, engine_for, say)
        took_s = budget.spent_s() - began_s
        longest_s = max(longest_s, took_s)
        baseline_s = baseline_s or took_s


def _visit(
    runs: Sequence[PlanRun], arm: Arm, blocks: Sequence[int], engine_for: EngineFor, say: Say
) -> None:
    """Start the arm's engine once; an error ends the arm in the stages that are still due."""
    assert isinstance(arm, VllmArm)
    due = list(runs)
    began_s = time.monotonic()
    try:
        engine = engine_for(arm)
        with started(engine) as described:
            say(f"{arm.name}: up after {time.monotonic() - began_s:.0f} s")
            resolved = _named(described, arm.model)
            while due:
                due[0].turn(arm, engine, resolved, blocks)
                say(f"{arm.name}: {due[0].plan.name} done, {time.monotonic() - began_s:.0f} s")
                due.pop(0)
    except (EngineError, MissingExtraError) as error:
        say(f"{arm.name}: {error}")
        for run in due:
            run.give_up(arm, error)


def _named(resolved: Resolved, model: str) -> Resolved:
    """Call the model by its name instead of the folder it was unpacked to."""
    settings = {
        name: model if value == resolved.model else value
        for name, value in resolved.settings.items()
    }
    return replace(resolved, model=model, settings=settings)


def _with_flags(arm: Arm, more: object, *, below: bool) -> Arm:
    """Return the arm with more flags, which give way to its own or win over them."""
    assert isinstance(arm, VllmArm)
    assert isinstance(more, dict)
    own = dict(arm.flags)
    return replace(arm, flags={**more, **own} if below else {**own, **more})


def _short(pack: Pack, stage: PackedStage) -> str:
    return stage.plan.name.removeprefix(f"{pack.name}-")
