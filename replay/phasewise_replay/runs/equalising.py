"""Give an arm the settings that the baseline's engine reports, in the flags of its own engine.

For plans with `equalise`: vLLM and SGLang have other names and other defaults for the same setting.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from phasewise_store.errors import UsageError

from phasewise_replay.plans.arms import Arm, SglangArm, VllmArm
from phasewise_replay.plans.common_settings import (
    KV_BLOCK,
    Value,
    common_settings,
)
from phasewise_replay.plans.presets import EngineKind, FlagValue
from phasewise_replay.records import engine_settings
from phasewise_replay.records.arm_record import ArmRecord

UNREPORTED = "the baseline does not report it"
OTHERWISE = "asked for with `{}`, but the engine settled on another value"


@dataclass(frozen=True, slots=True)
class Equalised:
    """An arm with the baseline's settings."""

    arm: Arm
    flags: Mapping[str, FlagValue] = field(default_factory=dict)
    """those that were added to the arm's own"""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """by common name: why a setting may still differ"""


def equalised(arm: Arm, baseline: ArmRecord | None, values: Mapping[str, Value]) -> Equalised:
    """Return a managed arm with the flags of `values`, and of what the baseline's engine reports.

    The arm's own flags win. The baseline's settings are given to an arm of the other engine only;
    None of the baseline itself, and where it has not run.
    """
    if not isinstance(arm, VllmArm | SglangArm):
        return Equalised(arm)
    engine: EngineKind = "sglang" if isinstance(arm, SglangArm) else "vllm"
    own = arm.all_flags()
    wanted = {**_reported(engine, baseline), **values}
    block_flag = common_settings()[KV_BLOCK].spelling(engine).flag
    flags: dict[str, FlagValue] = {}
    reasons: dict[str, str] = {}
    for name, setting in common_settings().items():
        flag, value = setting.spelling(engine).flag, wanted.get(name)
        if flag in own:
            reasons[name] = f"the plan sets `{flag}` of this arm"
        elif not isinstance(value, bool | int | float | str):
            reasons[name] = UNREPORTED
        else:
            block_tokens = (own | flags).get(block_flag)
            try:
                flags |= setting.flags(engine, value, block_tokens=block_tokens)
                reasons[name] = OTHERWISE.format(flag)
            except UsageError as error:
                reasons[name] = str(error)
    return Equalised(replace(arm, flags=flags | dict(arm.flags)), flags, reasons)


def _reported(engine: EngineKind, baseline: ArmRecord | None) -> Mapping[str, object]:
    """Return the baseline's settings for an arm of the other engine."""
    if baseline is None or not baseline.settings:
        return {}
    if engine_settings.is_sglang(baseline) == (engine == "sglang"):
        return {}
    return engine_settings.values(baseline)
