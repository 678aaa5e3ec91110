"""Read a GPU plan: one model, its arms in order of worth, and the stages that each arm runs.

A stage is a replay plan of its own (sessions and a concurrency); all stages share the arms, so an
arm's engine is started once for all of them. `benchmarks/gpu/plan.yaml` is the one that ships.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from phasewise_store.errors import UsageError

from phasewise_replay.gpu.lone_steps import Steps
from phasewise_replay.plans import arm_file, plan_file
from phasewise_replay.plans import plan_keys as keys
from phasewise_replay.plans.plan import WarmStart
from phasewise_replay.plans.plan_keys import Keys
from phasewise_replay.plans.presets import FlagValue
from phasewise_replay.plans.session_choice import SessionChoice

Flags = Mapping[str, FlagValue]


@dataclass(frozen=True, slots=True)
class Stage:
    """Recorded sessions at one concurrency, or designed steps."""

    name: str
    arms: tuple[str, ...] = ()
    """only these arms and the baseline; empty is all"""
    concurrency: int = 1
    send_lag_ms: float = 10.0
    """as in a plan"""
    sessions: tuple[SessionChoice, ...] = ()
    warm_start: WarmStart | None = None
    """where sessions begin, as in a plan"""
    steps: Steps | None = None
    """designed steps instead of recorded sessions"""
    most_prompt_tokens: int | None = None
    """a session ends before its first call with a longer prompt"""
    most_output_tokens: int | None = None
    """longer outputs are cut to this"""


@dataclass(frozen=True, slots=True)
class Smoke:
    """What is tried before anything is measured, and what to fall back to."""

    arms: tuple[str, ...] = ()
    """these are started with the flags below and send one prompt each, all at the same time"""
    flags: Flags = field(default_factory=dict)
    """make the trial small, for example fewer layers"""
    fallbacks: tuple[Flags, ...] = ()
    """added one after another until every arm works that can; then all arms run with them"""


@dataclass(frozen=True, slots=True)
class KitPlan:
    """The whole file."""

    name: str
    model: str
    """folder or Hugging Face name, as in the file"""
    where: Path
    """the file's folder"""
    arms: Mapping[str, Flags]
    """vLLM flags by arm; the first arm is the baseline, the others follow in order of worth"""
    stages: tuple[Stage, ...]
    text: bool = False
    """whether texts are packed; otherwise prompts are token ids of the recorded lengths"""
    flags: Mapping[str, Flags] = field(default_factory=dict)
    """common flags by engine: `gpu`, `cpu`"""
    smoke: Smoke = field(default_factory=Smoke)

    @property
    def model_folder(self) -> Path | None:
        """The model's folder; None when it is a name."""
        folder = self.where / self.model
        return folder if folder.is_dir() else None


def read(path: Path) -> KitPlan:
    """Read a GPU plan; raises UsageError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the plan `{path}`: {error.strerror}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> KitPlan:
    """Read a GPU plan from its YAML; `path` names it in errors, and its model is beside it."""
    top = keys.document(text, str(path))
    found = KitPlan(
        name=top.take("name", keys.word),
        model=top.take("model", keys.word),
        where=path.parent,
        arms=_by_name(top, "arms"),
        stages=tuple(_stage(one) for one in top.items("stages")),
        text=top.take("text", keys.truth, False),
        flags=_by_name(top, "flags"),
        smoke=_smoke(top.inner("smoke")),
    )
    top.finish()
    if not found.arms:
        raise UsageError(f"{path}: `arms` must name at least one arm")
    for name in (*found.smoke.arms, *(arm for stage in found.stages for arm in stage.arms)):
        if name not in found.arms:
            raise UsageError(f"{path}: no arm `{name}` among {', '.join(found.arms)}")
    return found


def _by_name(top: Keys, name: str) -> dict[str, Flags]:
    inner = top.inner(name)
    return {key: inner.take(key, arm_file.flags) for key in inner.names()}


def _stage(found: Keys) -> Stage:
    stage = Stage(
        name=found.take("name", keys.word),
        arms=found.take("arms", keys.words, ()),
        concurrency=found.take("concurrency", keys.whole, 1),
        send_lag_ms=found.take("send_lag_ms", keys.number, 10.0),
        sessions=tuple(map(plan_file.sessions, found.items("sessions")))
        if found.has("sessions")
        else (),
        warm_start=found.maybe("warm_start", plan_file.warm_start),
        steps=_steps(found.inner("steps")) if found.has("steps") else None,
        most_prompt_tokens=found.maybe("most_prompt_tokens", keys.whole),
        most_output_tokens=found.maybe("most_output_tokens", keys.whole),
    )
    if bool(stage.sessions) == (stage.steps is not None):
        raise found.wrong("", "must have either `sessions` or `steps`")
    found.finish()
    return stage


def _steps(found: Keys) -> Steps:
    steps = Steps(
        prefill=found.take("prefill", keys.wholes, ()),
        cached=found.take("cached", keys.pairs, ()),
        decode=found.take("decode", keys.wholes, ()),
        mixed=found.take("mixed", keys.pairs, ()),
        repeats=found.take("repeats", keys.whole, 1),
        output_tokens=found.take("output_tokens", keys.whole, 64),
        batch=found.take("batch", keys.whole, 1),
    )
    found.finish()
    return steps


def _smoke(found: Keys) -> Smoke:
    smoke = Smoke(
        arms=found.take("arms", keys.words, ()),
        flags=found.take("flags", arm_file.flags, {}),
        fallbacks=tuple(
            one.take("flags", arm_file.flags)
            for one in (found.items("fallbacks") if found.has("fallbacks") else [])
        ),
    )
    found.finish()
    return smoke
