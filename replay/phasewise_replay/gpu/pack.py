"""Make a pack at home: the store's sessions and designed steps, as one plan for each stage."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from phasewise_store.errors import UsageError
from phasewise_store.store import Store

from phasewise_replay.gpu import lone_steps
from phasewise_replay.gpu.kit_plan import KitPlan, Stage
from phasewise_replay.gpu.pack_file import Pack, PackedStage
from phasewise_replay.plans.arms import VllmArm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.sessions import sessions
from phasewise_replay.sessions.recorded import Recorded, RecordedSession
from phasewise_replay.sessions.scrubbing import Scrubber
from phasewise_replay.sessions.selection import Selection
from phasewise_replay.sessions.warm_start import start_late

WARMUP_CALLS = 4
"""of each stage; the engine is warm after the first"""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def pack(store: Store, kit: KitPlan, *, tokenizer: Path | None = None) -> Pack:
    """Read every stage's sessions; raises UsageError where there are none.

    `tokenizer` is the folder of a tokenizer, for a model folder that has none.
    """
    scrubber = Scrubber()
    return Pack(
        name=kit.name,
        stages=tuple(_stage(store, kit, stage, scrubber) for stage in kit.stages),
        flags=kit.flags,
        smoke=kit.smoke,
        model_files=_model_files(kit, tokenizer),
    )


def _stage(store: Store, kit: KitPlan, stage: Stage, scrubber: Scrubber) -> PackedStage:
    left_out: list[str] = []
    selections: tuple[Selection, ...] = ()
    if stage.steps is not None:
        chosen: tuple[RecordedSession, ...] = lone_steps.sessions(stage.steps)
        concurrency = stage.steps.concurrency
    else:
        loaded = [sessions.load(store, choice) for choice in stage.sessions]
        selections = tuple(selection for one in loaded for selection in one.selections)
        all_of = [session for one in loaded for session in one.sessions]
        recorded = Recorded(tuple(_limited(all_of, stage, left_out)), 0, selections)
        if stage.warm_start is not None:
            recorded = start_late(recorded, stage.warm_start, stage.sessions[0].seed)
        if not any(choice.keep_secrets for choice in stage.sessions):
            recorded = sessions.scrubbed(recorded, scrubber)
        chosen, selections = recorded.sessions, recorded.selections
        concurrency = stage.concurrency
        if not kit.text:
            chosen = tuple(map(_without_text, chosen))
    model = Path(kit.model).name if kit.model_folder else kit.model
    wanted = {next(iter(kit.arms)), *(stage.arms or kit.arms)}
    arms = tuple(
        VllmArm(name, model, flags=flags) for name, flags in kit.arms.items() if name in wanted
    )
    plan = Plan(
        f"{kit.name}-{stage.name}",
        arms,
        SessionChoice(limit=None, ids=tuple(one.session_id for one in chosen)),
        order="once",
        warmup_calls=WARMUP_CALLS,
        concurrency=concurrency,
        send_lag_ms=stage.send_lag_ms,
        tool_time=1.0 if stage.steps is not None else 0.0,
    )
    return PackedStage(plan, Recorded(chosen, 0, selections), tuple(left_out))


def _limited(
    found: Sequence[RecordedSession], stage: Stage, left_out: list[str]
) -> Iterator[RecordedSession]:
    """Keep each session up to its first prompt that is too long, and cut its outputs."""
    most_prompt, most_output = stage.most_prompt_tokens, stage.most_output_tokens
    calls = cut = tokens = 0
    for session in found:
        steps = list(session.steps)
        sizes = [sum(segment.tokens for segment in step.prompt) for step in steps]
        if most_prompt is not None:
            end = next((place for place, size in enumerate(sizes) if size > most_prompt), None)
            steps = steps[:end]
        calls += len(session.steps) - len(steps)
        if most_output is not None:
            too_long = [step for step in steps if step.output_tokens > most_output]
            cut += len(too_long)
            tokens += sum(step.output_tokens - most_output for step in too_long)
            steps = [
                replace(step, output_tokens=min(step.output_tokens, most_output)) for step in steps
            ]
        if steps:
            yield RecordedSession(session.session_id, tuple(steps))
    if calls:
        left_out.append(f"{calls:,} calls from the first prompt above {most_prompt:,} tokens on")
    if cut:
        left_out.append(f"{tokens:,} output tokens of {cut:,} calls above {most_output:,} each")


def _without_text(session: RecordedSession) -> RecordedSession:
    """Keep the lengths and the sharing of the prompts, and none of their words."""
    return RecordedSession(
        session.session_id,
        tuple(
            replace(step, prompt=tuple(replace(segment, content=None) for segment in step.prompt))
            for step in session.steps
        ),
    )


def _model_files(kit: KitPlan, tokenizer: Path | None) -> dict[str, bytes]:
    folder = kit.model_folder
    if folder is None:
        return {}
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    if weights := [name for name in files if name.endswith((".safetensors", ".bin"))]:
        raise UsageError(
            f"`{folder}` has weights ({weights[0]}), which a pack does not carry; name the model "
            "as the GPU machine knows it"
        )
    if "tokenizer.json" in files:
        return files
    if tokenizer is None or not (tokenizer / "tokenizer.json").exists():
        raise UsageError(
            f"`{folder}` has no tokenizer.json; name the folder of any tokenizer with "
            "`--tokenizer`, for example .engines/tiny after  make tiny-model"
        )
    return files | {
        name: (tokenizer / name).read_bytes()
        for name in TOKENIZER_FILES
        if (tokenizer / name).exists()
    }
