"""Named engine changes from `presets.yaml`, with the phase each improves and its trade-off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Literal, cast

import yaml
from phasewise_store.errors import UnsupportedArmError, UsageError

Phase = Literal["prefill", "decode"]
Technique = Literal[
    "batching", "caching", "quantization", "speculation", "parallelism", "disaggregation"
]
EngineKind = Literal["vllm", "sglang"]
FlagValue = bool | int | float | str | Mapping[str, object] | list[object]
"""a flag's value: true is `--name`, false is `--no-name`, a mapping or list is JSON"""

DRAFT_MODEL = "{draft_model}"
"""stands for the arm's draft model in a preset's flags"""
NAMES: Mapping[EngineKind, str] = {"vllm": "vLLM", "sglang": "SGLang"}


@dataclass(frozen=True, slots=True)
class Preset:
    """One named change."""

    name: str
    technique: Technique
    phase: Phase
    """the phase that it is meant to make cheaper"""
    does: str
    costs: str
    vllm: Mapping[str, FlagValue] | None = None
    """flags of vLLM, and of the simulator; None where one server has no such flags"""
    sglang: Mapping[str, FlagValue] | None = None
    """the same of SGLang"""
    why_not: Mapping[EngineKind, str] = field(default_factory=dict)
    """why an engine has no flags for it"""
    layout: Mapping[str, int] = field(default_factory=dict)
    """keys of a simulated arm that say how many engines there are"""

    def flags(self, engine: EngineKind) -> Mapping[str, FlagValue]:
        """Return an engine's flags; raises UnsupportedArmError, with the reason, without any."""
        found = self.vllm if engine == "vllm" else self.sglang
        if found is None:
            why = self.why_not.get(engine)
            reason = f"{NAMES[engine]} has no counterpart of `{self.name}`"
            raise UnsupportedArmError(reason if why is None else f"{reason}: {why}")
        return found

    @property
    def needs_draft_model(self) -> bool:
        """Whether an arm has to name a draft model."""
        return DRAFT_MODEL in str(self.vllm)


@cache
def presets() -> Mapping[str, Preset]:
    """Return all presets by name."""
    text = resources.files("phasewise_replay.plans").joinpath("presets.yaml").read_text("utf-8")
    return {name: _preset(name, fields) for name, fields in yaml.safe_load(text).items()}


def chosen(names: Sequence[str]) -> list[Preset]:
    """Return the presets of these names; raises UsageError where one is unknown or two disagree."""
    known = presets()
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"unknown preset {quoted(unknown)}; the presets are {quoted(known)}")
    found = [known[name] for name in names]
    flags = [flag for preset in found for flag in preset.vllm or ()]
    if clash := {flag for flag in flags if flags.count(flag) > 1}:
        raise UsageError(f"presets {quoted(names)} both set {quoted(clash)}; use only one of them")
    return found


def flags_of(
    names: Sequence[str], engine: EngineKind, *, draft_model: str | None = None
) -> dict[str, FlagValue]:
    """Return the flags of presets for an engine, with the draft model in its place.

    Raises UnsupportedArmError where a preset has none for it.
    """
    merged: dict[str, FlagValue] = {}
    for preset in chosen(names):
        merged |= preset.flags(engine)
    if draft_model is None:
        return merged
    return {name: cast(FlagValue, _filled(value, draft_model)) for name, value in merged.items()}


def quoted(names: Sequence[str] | Mapping[str, object] | set[str]) -> str:
    """Write names between backticks."""
    return ", ".join(f"`{name}`" for name in names)


def _filled(value: object, draft_model: str) -> object:
    if isinstance(value, Mapping):
        return {name: _filled(inner, draft_model) for name, inner in value.items()}
    return draft_model if value == DRAFT_MODEL else value


def _preset(name: str, fields: dict[str, object]) -> Preset:
    return Preset(name, **fields)  # type: ignore[arg-type]  # a test reads all
