"""Methods of speculation compared on captured calls: acceptance, and decode time at a batch size.

    time per token = step time of a batch with its drafts / tokens per step

Acceptance does not depend on the engine; whether it pays does. Draft tokens are nearly free while a
step is bound by reading weights, and cost compute at a large batch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from phasewise_analyzer.engine.deployments.deployment import Deployment, with_drafting
from phasewise_analyzer.engine.schedulers.drafts import Acceptance, Drafts, total
from phasewise_analyzer.engine.speculation.captured_calls import CapturedCall, Drafter
from phasewise_analyzer.engine.speculation.config import (
    NgramConfig,
    SpeculationConfig,
    SuffixConfig,
)
from phasewise_analyzer.engine.speculation.ngram import NgramLookup
from phasewise_analyzer.engine.step_times.batch import Batch

Group = Literal["agent", "session", "call"]
AT_ONCE = (1, 8, 32, 128)
"""sequences that decode together"""
MOST_AT_ONCE = 1024
SHORTEST, LONGEST, TOKENS = range(1, 6), (5, 7, 10), (2, 3, 4, 6, 8)
"""of n-grams, and tokens drafted: what a search tries"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one method did for one group of calls."""

    group: str
    """the agent, session or call"""
    config: SpeculationConfig
    acceptance: Acceptance
    prompt_tokens: int
    """of all calls, captured ones"""
    output_tokens: int
    """the same"""
    context: int
    """mean tokens in front of an output token"""


@dataclass(frozen=True, slots=True)
class DecodeChange:
    """What a method does to decode time, where so many sequences decode together."""

    at_once: int
    undrafted_s: float
    """decode time per output token of a sequence, as it is"""
    drafted_s: float
    """the same with speculation"""

    @property
    def change(self) -> float:
        """Relative change; negative is faster."""
        return self.drafted_s / self.undrafted_s - 1


def measure(
    calls: Iterable[CapturedCall], configs: Sequence[SpeculationConfig], by: Group
) -> list[Measured]:
    """Draft for all calls with every method; groups come in the order of their first call."""
    drafters = _Drafters(configs)
    parts: dict[str, list[list[Acceptance]]] = {}
    prompts: dict[str, int] = {}
    outputs: dict[str, int] = {}
    contexts: dict[str, int] = {}
    for call in calls:
        group = _group(call, by)
        found = parts.setdefault(group, [[] for _ in configs])
        for mine, drafts in zip(found, drafters.drafts(call), strict=True):
            mine.append(drafts.steps().acceptance())
        tokens = len(call.output)
        prompts[group] = prompts.get(group, 0) + len(call.prompt)
        outputs[group] = outputs.get(group, 0) + tokens
        ahead = tokens * len(call.prompt) + tokens * tokens // 2
        contexts[group] = contexts.get(group, 0) + ahead
    return [
        Measured(
            group,
            config,
            total(mine),
            prompts[group],
            outputs[group],
            contexts[group] // max(1, outputs[group]),
        )
        for group, found in parts.items()
        for config, mine in zip(configs, found, strict=True)
    ]


class _Drafters:
    """Several methods; those of n-grams share their lookup of earlier copies."""

    def __init__(self, configs: Sequence[SpeculationConfig]) -> None:
        self._configs = configs
        self._suffix = {one: Drafter(one) for one in configs if isinstance(one, SuffixConfig)}
        ngrams = [one for one in configs if isinstance(one, NgramConfig)]
        self._lengths = range(
            min((one.shortest for one in ngrams), default=1),
            max((one.longest for one in ngrams), default=0) + 1,
        )

    def drafts(self, call: CapturedCall) -> Iterator[Drafts]:
        """Yield each method's drafts for a call."""
        lookup = NgramLookup(call.prompt, call.output, self._lengths) if self._lengths else None
        for config in self._configs:
            if isinstance(config, SuffixConfig):
                yield self._suffix[config].drafts(call)
            else:
                assert lookup is not None, "there is a method of n-grams"
                yield lookup.drafts(config)


def _group(call: CapturedCall, by: Group) -> str:
    names: Mapping[Group, str] = {
        "agent": call.agent or "-",
        "session": call.session_id,
        "call": call.call_id,
    }
    return names[by]


def decode_change(found: Measured, engine: Deployment, at_once: int) -> DecodeChange | None:
    """Return the change at a batch size; None where so many contexts do not fit in the KV cache."""
    said = found.acceptance
    size = engine.config.block_size
    needed = -(-found.context // size) * at_once
    if not said.steps or (engine.blocks is not None and needed > engine.blocks):
        return None
    context = max(1, found.context)
    drafts = round(at_once * said.drafted / said.steps)
    plain = Batch(decodes=at_once, context=at_once * context, longest=context)
    drafted = Batch(
        decodes=at_once,
        context=at_once * context + drafts,
        longest=context + -(-drafts // at_once),
        drafts=drafts,
        # what the drafter does once per prompt, over the steps of its call
        completed=round(at_once * found.prompt_tokens / said.steps),
    )
    tokens = 1 + said.accepted / said.steps
    step_s = with_drafting(engine.times, found.config).step_s(drafted)
    return DecodeChange(at_once, engine.times.step_s(plain), step_s / tokens)


@dataclass(frozen=True, slots=True)
class Reach:
    """Up to which batch a method makes decode faster."""

    at_once: int
    """sequences, by doubling; 0 where it never does"""
    limit: Literal["slower", "KV cache", "none found"]
    """why not further"""


def reach(found: Measured, engine: Deployment) -> Reach:
    """Find the largest batch at which decode is faster."""
    at_once = 0
    for doubling in range(MOST_AT_ONCE.bit_length()):
        change = decode_change(found, engine, 2**doubling)
        if change is None:
            return Reach(at_once, "KV cache")
        if change.change >= 0:
            return Reach(at_once, "slower")
        at_once = 2**doubling
    return Reach(at_once, "none found")


def ngram_settings() -> list[SpeculationConfig]:
    """Return the settings of n-grams that a search tries."""
    return [
        NgramConfig(tokens, shortest, longest)
        for shortest in SHORTEST
        for longest in sorted({shortest, *(one for one in LONGEST if one > shortest)})
        for tokens in TOKENS
    ]


def best_ngram(found: Iterable[Measured], engine: Deployment, at_once: int) -> list[Measured]:
    """Return each group's setting of n-grams with the lowest decode time at a batch size.

    A group whose contexts do not fit so many times is left out.
    """
    best: dict[str, tuple[float, Measured]] = {}
    for one in found:
        change = decode_change(one, engine, at_once)
        if change is None or not isinstance(one.config, NgramConfig):
            continue
        if one.group not in best or change.change < best[one.group][0]:
            best[one.group] = change.change, one
    return [one for _, one in best.values()]
