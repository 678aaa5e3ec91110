"""Named engine changes from `presets.yaml`, with the phase each improves and its trade-off."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Literal

import yaml

Phase = Literal["prefill", "decode"]
FlagValue = bool | int | float | str | Mapping[str, object] | list[object]
"""a flag's value: true is `--name`, false is `--no-name`, a mapping or list is JSON"""


@dataclass(frozen=True, slots=True)
class Preset:
    """One named change."""

    name: str
    phase: Phase
    """the phase that it is meant to make cheaper"""
    does: str
    costs: str
    vllm: Mapping[str, FlagValue] = field(default_factory=dict)
    """flags of vLLM, and of the simulator"""
    sglang: Mapping[str, FlagValue] | None = None
    """flags of SGLang; None where it has no counterpart"""


@cache
def presets() -> Mapping[str, Preset]:
    """Return all presets by name."""
    text = resources.files("phasewise_replay.plans").joinpath("presets.yaml").read_text("utf-8")
    return {name: _preset(name, fields) for name, fields in yaml.safe_load(text).items()}


def _preset(name: str, fields: dict[str, object]) -> Preset:
    return Preset(name, **fields)  # type: ignore[arg-type]  # a test reads all
