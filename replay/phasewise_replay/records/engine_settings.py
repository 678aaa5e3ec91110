"""What an arm's engine reports of the settings that vLLM and SGLang both have, under common names.

Hundreds of settings exist in only one of them. These decide what is batched, cached and computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from phasewise_replay.plans.common_settings import (
    KV_BLOCK,
    KV_CACHE,
    CommonSetting,
    common_settings,
)
from phasewise_replay.plans.presets import EngineKind
from phasewise_replay.records.arm_record import ArmRecord

SPELLINGS: Mapping[str, object] = {
    "torch.float32": "float32",
    "torch.float16": "float16",
    "torch.bfloat16": "bfloat16",
    "fp8_e4m3": "fp8",
}
"""values for which one engine has two names"""

INHERENT: Mapping[str, tuple[object, object, str]] = {
    "prefill and decode in one step": (
        True,
        False,
        "SGLang computes them in steps of their own; its `enable-mixed-chunk` would mix them, but "
        "then its cached tokens cannot be predicted and its step times have no phase",
    ),
    "prefix cache": (
        "full blocks by hash",
        "radix tree",
        "each engine has its own; at equal sizes of blocks they cache nearly the same tokens",
    ),
}
"""what no flag changes: vLLM's, SGLang's, and what that means"""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One setting of two arms on different engines."""

    title: str
    baseline: object
    arm: object
    equal: bool
    why: str | None = None
    """why they differ, where that is known"""
    added: str | None = None
    """the flag of the arm that `equalise` has added"""


def is_sglang(record: ArmRecord) -> bool:
    """Return whether the settings of an arm are SGLang's, also behind a URL."""
    return "chunked_prefill_size" in record.settings


def differ_in_engine(one: ArmRecord, two: ArmRecord) -> bool:
    """Return whether one is vLLM and one is SGLang, and both report their settings."""
    return is_sglang(one) != is_sglang(two) and bool(one.settings and two.settings)


def values(record: ArmRecord) -> dict[str, object]:
    """Return the settings by common name, in vLLM's terms."""
    engine: EngineKind = "sglang" if is_sglang(record) else "vllm"
    return {name: _value(one, engine, record) for name, one in common_settings().items()}


def common(baseline: ArmRecord, arm: ArmRecord) -> tuple[SideBySide, ...]:
    """Return the settings that the engines of two arms both have."""
    one, two = values(baseline), values(arm)
    return tuple(
        replace(
            _row(setting.title, one[name], two[name], arm.unequal.get(name)),
            added=_added(setting, arm),
        )
        for name, setting in common_settings().items()
    )


def side_by_side(baseline: ArmRecord, arm: ArmRecord) -> tuple[SideBySide, ...]:
    """Return the settings that both have, and what no setting of theirs changes."""
    turned = is_sglang(baseline)
    return common(baseline, arm) + tuple(
        _row(title, *((sglang, vllm) if turned else (vllm, sglang)), why)
        for title, (vllm, sglang, why) in INHERENT.items()
    )


def _added(setting: CommonSetting, arm: ArmRecord) -> str | None:
    flag = setting.spelling("sglang" if is_sglang(arm) else "vllm").flag
    return f"{flag}: {arm.equalised[flag]}" if flag in arm.equalised else None


def _row(title: str, one: object, two: object, why: str | None) -> SideBySide:
    return SideBySide(title, one, two, one == two, None if one == two else why)


def _value(setting: CommonSetting, engine: EngineKind, record: ArmRecord) -> object:
    reported = setting.spelling(engine).setting
    value: object = None
    if reported is not None:
        value = record.settings.get(reported)
        if isinstance(value, str):
            value = SPELLINGS.get(value, value)
        value = setting.in_vllm_s_terms(engine, value)
    elif setting.name == KV_BLOCK:
        value = record.block_tokens
    elif setting.name == KV_CACHE:
        if record.blocks_of_kv is not None and record.block_tokens is not None:
            value = record.blocks_of_kv * record.block_tokens
    else:
        value = record.prefix_caching
    if value is None and setting.name == "context_tokens":
        value = record.max_model_tokens  # SGLang reports no context that it took from the model
    return value
