"""The settings that vLLM and SGLang both have, from `common_settings.yaml`, and their flags.

Values are in vLLM's terms.  `equalise` of a plan and the table of two engines' settings use it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import yaml
from phasewise_store.errors import UsageError

from phasewise_replay.plans.presets import EngineKind, FlagValue

KV_CACHE, KV_BLOCK = "kv_cache_tokens", "block_tokens"
"""vLLM counts its KV cache in blocks, SGLang in tokens"""
VLLM_BLOCK = 16
"""tokens: a KV block of vLLM is a multiple of it, a page of SGLang may be one token"""
Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Spelling:
    """What one engine calls a setting."""

    flag: str
    setting: str | None = None
    """its dotted name among the settings that the engine reports"""


@dataclass(frozen=True, slots=True)
class CommonSetting:
    """One setting of both engines."""

    name: str
    """in a plan's `equalise`"""
    title: str
    vllm: Spelling
    sglang: Spelling
    values: Mapping[Value, Value] = field(default_factory=dict)
    """vLLM's values and SGLang's, where they differ"""
    only: Sequence[Value] = ()
    """the values that both know; empty is every value"""

    def spelling(self, engine: EngineKind) -> Spelling:
        """Return what an engine calls it."""
        return self.vllm if engine == "vllm" else self.sglang

    def in_vllm_s_terms(self, engine: EngineKind, value: object) -> object:
        """Return a value as vLLM spells it."""
        if engine == "vllm":
            return value
        return next((ours for ours, theirs in self.values.items() if theirs == value), value)

    def flags(
        self, engine: EngineKind, value: Value, *, block_tokens: object = None
    ) -> Mapping[str, FlagValue]:
        """Return the flag that gives an engine the value; raises UsageError with the reason.

        `block_tokens` is the size of a KV block of the engine.
        """
        if self.only and value not in self.only:
            raise UsageError(f"only one of the engines knows `{value}`")
        if engine == "sglang":
            return {self.sglang.flag: self.values.get(value, value)}
        if self.name == KV_CACHE:
            return {self.vllm.flag: _blocks(value, block_tokens)}
        if self.name == KV_BLOCK and (not isinstance(value, int) or value % VLLM_BLOCK):
            raise UsageError(f"vLLM's blocks are multiples of {VLLM_BLOCK} tokens, not {value}")
        return {self.vllm.flag: value}


@cache
def common_settings() -> Mapping[str, CommonSetting]:
    """Return all settings by name."""
    folder = resources.files("phasewise_replay.plans")
    found = yaml.safe_load(folder.joinpath("common_settings.yaml").read_text("utf-8"))
    return {name: _setting(name, fields) for name, fields in found.items()}


def equalise(value: object) -> Mapping[str, Value] | None:
    """Read `equalise` of a plan: true, false, or a mapping from settings to values."""
    if isinstance(value, bool):
        return {} if value else None
    if not isinstance(value, dict):
        raise UsageError(f"must be true, false, or a mapping of settings, not `{value}`")
    known = common_settings()
    for name, setting in value.items():
        if name not in known:
            raise UsageError(f"has no setting `{name}`; it has {', '.join(known)}")
        if not isinstance(setting, bool | int | float | str):
            raise UsageError(f"setting `{name}` has no value")
    return value


def flags_of(engine: EngineKind, values: Mapping[str, Value]) -> dict[str, FlagValue]:
    """Return the flags that give an engine these values, by name; raises UsageError."""
    found: dict[str, FlagValue] = {}
    for name, value in values.items():
        setting = common_settings()[name]
        try:
            found |= setting.flags(engine, value, block_tokens=values.get(KV_BLOCK))
        except UsageError as error:
            raise UsageError(f"`{name}`: {error}") from None
    return found


def _setting(name: str, fields: Mapping[str, object]) -> CommonSetting:
    spellings = {engine: Spelling(**fields[engine]) for engine in ("vllm", "sglang")}  # type: ignore[arg-type]  # a test reads all
    return CommonSetting(name, **(dict(fields) | spellings))  # type: ignore[arg-type]


def _blocks(tokens: object, block_tokens: object) -> int:
    if not isinstance(tokens, int) or not isinstance(block_tokens, int):
        raise UsageError(f"vLLM counts it in KV blocks, and needs `{KV_BLOCK}` as well")
    # vLLM keeps block 0 as the null block: it never holds a prompt
    return tokens // block_tokens + 1
