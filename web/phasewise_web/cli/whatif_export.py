"""Store repaired sessions, and write two replay plans that measure the saving."""

from dataclasses import dataclass
from pathlib import Path

from phasewise_analyzer.engine.shapes.shape import Shape
from phasewise_analyzer.whatif import layout, replay_prediction
from phasewise_analyzer.whatif.compare import Wanted
from phasewise_analyzer.whatif.repairing import repaired
from phasewise_analyzer.whatif.replay_prediction import Proof
from phasewise_analyzer.whatif.scenario import Scenario
from phasewise_replay.plans.arms import SimulatedArm, SimulatedOptions
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.plan_yaml import as_yaml
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_store.errors import UsageError
from phasewise_store.scope import Scope
from phasewise_store.store import Store

SUFFIX = "+repaired"
BLOCK_TOKENS = 16
GPU = "h100-sxm"
"""the GPU for simulated times; cached tokens do not depend on it"""


@dataclass(frozen=True, slots=True)
class Target:
    """The output folder, and the simulated engine."""

    folder: Path
    shape: Shape
    engine: Scenario
    """a vLLM with a capacity"""


@dataclass(frozen=True, slots=True)
class PlanFile:
    """One replay plan and its predicted result."""

    path: str
    proof: Proof


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    source: str
    """name of the new data set"""
    calls: int
    changed_calls: int
    before: PlanFile
    after: PlanFile


def check(scope: Scope) -> None:
    """Reject a scope that cannot be replayed; raises UsageError."""
    if scope.source is None or scope.agent is not None or scope.model is not None:
        raise UsageError(
            "--export replays whole sessions of one data set: it needs --source, and cannot be "
            "combined with --agent or --model"
        )


def export(store: Store, scope: Scope, target: Target, wanted: Wanted) -> Exported:
    """Store the repaired calls of one data set and write a plan for before and after.

    Raises UsageError where the scope is no data set, or there is nothing to repair.
    """
    assert scope.source is not None, "`check` comes first"
    laid = layout.read(store, scope)
    if not laid:
        raise UsageError(
            f"the prompts of `{scope.source}` are known only by hashes and cannot be repaired"
        )
    fixed = repaired(laid, wanted.findings, wanted.causes)
    changed = sum(one is not other for one, other in zip(laid, fixed, strict=True))
    if not changed:
        raise UsageError("no prompts to repair, so nothing to export")
    suffix = _free_suffix(store, scope.source, fixed)
    layout.write(store, fixed, suffix=suffix)
    ids = () if scope.session_id is None else (scope.session_id,)
    before = SessionChoice(scope.source, limit=None, ids=ids)
    after = SessionChoice(scope.source + suffix, limit=None, ids=tuple(one + suffix for one in ids))
    _make_folder(target.folder)
    return Exported(
        source=scope.source + suffix,
        calls=len(fixed),
        changed_calls=changed,
        before=PlanFile(
            _write_plan(target, "before", before),
            replay_prediction.predict(laid, target.engine),
        ),
        after=PlanFile(
            _write_plan(target, "after", after),
            replay_prediction.predict(fixed, target.engine),
        ),
    )


def _free_suffix(store: Store, source: str, laid: tuple[layout.Laid, ...]) -> str:
    """Return a name that no other repair has taken; the same repair keeps its name."""
    there = dict(store.frame("SELECT name, source_id FROM sources").iter_rows())
    number = 1
    while True:
        suffix = SUFFIX if number == 1 else f"{SUFFIX}-{number}"
        name = source + suffix
        if name not in there or store.has_source(layout.source_id(name, laid)):
            return suffix
        number += 1


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create the folder `{folder}`: {error.strerror}") from None


def _write_plan(target: Target, name: str, sessions: SessionChoice) -> str:
    policy = target.engine.policy
    capacity = None if policy is None else policy.capacity_tokens
    options = SimulatedOptions(
        gpu=GPU,
        model=target.shape.name,
        block_tokens=BLOCK_TOKENS,
        kv_blocks=None if capacity is None else capacity // BLOCK_TOKENS,
    )
    plan = Plan(
        name=f"{name} the repair",
        arms=(SimulatedArm(name=name, options=options),),
        sessions=sessions,
        warmup_calls=0,
    )
    path = target.folder / f"{name}.yaml"
    text = as_yaml(plan)
    try:
        path.write_text(
            "# To measure this on your own server, change the arm (docs/replay.md).\n" + text,
            "utf-8",
        )
    except OSError as error:
        raise UsageError(f"cannot write `{path}`: {error.strerror}") from None
    return str(path)
