"""Settings of speculation, read from vLLM's `speculative-config` with its names and defaults."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.engine_flags import Flags
from phasewise_analyzer.engine.not_modelled import NotModelledError
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig

NGRAM_LENGTH = 5
"""vLLM's default of `prompt_lookup_min` and `prompt_lookup_max` where neither is given"""


@dataclass(frozen=True, slots=True)
class NgramConfig:
    """Prompt lookup."""

    tokens: int
    """`num_speculative_tokens`: drafted per step, at most"""
    shortest: int = NGRAM_LENGTH
    """`prompt_lookup_min`"""
    longest: int = NGRAM_LENGTH
    """`prompt_lookup_max`"""

    @property
    def name(self) -> str:
        """Say what it is, in short."""
        return f"ngram {self.shortest}-{self.longest}, {self.tokens} tokens"


@dataclass(frozen=True, slots=True)
class SuffixConfig:
    """Suffix decoding."""

    tokens: int
    """`num_speculative_tokens`"""
    depth: int = 24
    """`suffix_decoding_max_tree_depth`: tokens matched and drafted, together at most"""
    requests: int = 10_000
    """`suffix_decoding_max_cached_requests`: earlier outputs in the global tree"""
    factor: float = 1.0
    """`suffix_decoding_max_spec_factor`: drafted per matched token, at most"""
    probability: float = 0.1
    """`suffix_decoding_min_token_prob`: least estimated probability of a drafted token"""

    @property
    def name(self) -> str:
        """Say what it is, in short."""
        return f"suffix, depth {self.depth}, {self.tokens} tokens"


USUAL_SUFFIX = SuffixConfig(tokens=24)
"""vLLM's defaults: as many tokens as the trees are deep"""

SpeculationConfig = NgramConfig | SuffixConfig


def parse(text: str) -> SpeculationConfig:
    """Read the JSON that vLLM's flag takes.

    Raises UsageError for another method, an unknown name or a value that vLLM refuses.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as wrong:
        raise UsageError(f"`speculative-config` is not JSON: {wrong}") from wrong
    if not isinstance(values, dict):
        raise UsageError("`speculative-config` is not a JSON object")
    read = _READERS.get(str(values.get("method")))
    if read is None:
        raise NotModelledError(
            f"`speculative-config` with the method `{values.get('method')}` is not modelled: "
            f"drafts of {' and '.join(_READERS)} can be computed from tokens alone"
        )
    fields = _Fields(values)
    found = read(fields)
    fields.refuse_unknown()
    return found


def written(config: SpeculationConfig) -> str:
    """Write a config as the JSON that `parse` reads."""
    if isinstance(config, NgramConfig):
        values: dict[str, object] = {
            "method": "ngram",
            "num_speculative_tokens": config.tokens,
            "prompt_lookup_min": config.shortest,
            "prompt_lookup_max": config.longest,
        }
    else:
        values = {
            "method": "suffix",
            "num_speculative_tokens": config.tokens,
            "suffix_decoding_max_tree_depth": config.depth,
            "suffix_decoding_max_cached_requests": config.requests,
            "suffix_decoding_max_spec_factor": config.factor,
            "suffix_decoding_min_token_prob": config.probability,
        }
    return json.dumps(values)


def speculative(
    values: Flags, config: SchedulerConfig
) -> tuple[SpeculationConfig | None, SchedulerConfig]:
    """Read the speculation among vLLM's flags; it schedules nothing asynchronously beside it.

    Raises UsageError as `parse` does, and for asynchronous scheduling that was asked for.
    """
    text = values.text("speculative-config", "")
    if not text:
        return None, config
    if values.switch("async-scheduling", False):
        raise UsageError(
            "vLLM does not schedule asynchronously with n-gram speculation or suffix decoding: "
            "leave out `async-scheduling`"
        )
    return parse(text), replace(config, async_scheduling=False)


class _Fields:
    """The values of a config; the names asked for are the known ones."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._known = {"method"}

    def integer(self, name: str, *, least: int = 1) -> int | None:
        """Return a whole number, or None where it is not given."""
        self._known.add(name)
        value = self._values.get(name)
        if value is not None and (type(value) is not int or value < least):
            raise UsageError(f"`{name}`: a whole number from {least} is needed, not `{value}`")
        return value

    def number(self, name: str, default: float, *, most: float = float("inf")) -> float:
        """Return a number from 0, or the default."""
        self._known.add(name)
        value = self._values.get(name, default)
        if type(value) not in {int, float} or not 0 <= value <= most:
            bound = "" if most == float("inf") else f" up to {most:g}"
            raise UsageError(f"`{name}`: a number from 0{bound} is needed, not `{value}`")
        return float(value)

    def refuse_unknown(self) -> None:
        """Raise UsageError for a name that nobody asked for."""
        unknown = sorted(set(self._values) - self._known)
        if unknown:
            raise NotModelledError(
                f"`speculative-config` has `{unknown[0]}`, which is not modelled; known: "
                f"{', '.join(sorted(self._known))}"
            )


def _ngram(fields: _Fields) -> NgramConfig:
    tokens = fields.integer("num_speculative_tokens")
    if tokens is None:
        raise UsageError("`speculative-config` of ngram needs `num_speculative_tokens`")
    low = fields.integer("prompt_lookup_min")
    high = fields.integer("prompt_lookup_max")
    shortest = low or high or NGRAM_LENGTH
    longest = high or low or NGRAM_LENGTH
    if shortest > longest:
        raise UsageError(f"`prompt_lookup_min` {shortest} is above `prompt_lookup_max` {longest}")
    return NgramConfig(tokens, shortest, longest)


def _suffix(fields: _Fields) -> SuffixConfig:
    usual = USUAL_SUFFIX
    depth = fields.integer("suffix_decoding_max_tree_depth") or usual.depth
    requests = fields.integer("suffix_decoding_max_cached_requests", least=0)
    return SuffixConfig(
        tokens=fields.integer("num_speculative_tokens") or depth,
        depth=depth,
        requests=usual.requests if requests is None else requests,
        factor=fields.number("suffix_decoding_max_spec_factor", usual.factor),
        probability=fields.number("suffix_decoding_min_token_prob", usual.probability, most=1.0),
    )


_READERS: Mapping[str, Callable[[_Fields], SpeculationConfig]] = {
    "ngram": _ngram,
    "suffix": _suffix,
}
