"""The probes: which steps a calibration makes a server run, within the server's limits.

A round has every probe once, kinds in turn, so that a calibration that has to stop early has some
of each. Prompts have other lengths in every round: an engine is slower at a length that it meets
for the first time (on a CPU prompts of 300 to 900 tokens were 15 to 40 % slower), and in real
traffic nearly every length is new.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

PREFILL = (16, 32, 64, 128, 256, 512, 1024, 2048)
CACHED = (0, 256, 1024, 2048)
DECODES = (1, 2, 4, 8, 16, 32, 64)
CONTEXTS = (32, 512, 1024, 2048)
MIXED = (32, 128, 512)
MIXED_DECODES = (1, 4, 8, 16)
MIXED_CONTEXTS = (32, 512)
BURSTS = (3, 8)
BURST_NEW = (128, 512)
BURST_DECODES = (1, 8)
BURST_DECODED = 8
"""tokens that each call of a burst generates"""
DECODED = 96
"""tokens that each sequence of a decode probe generates"""
MIXED_DECODED = 160
"""long enough that the prompts of a mixed probe end before the sequences do"""
INJECTED = 3
"""prompts of a mixed probe, one after the other; the first is not counted: an engine on a CPU
prepares kernels for its number of tokens"""


@dataclass(frozen=True, slots=True)
class PrefillProbe:
    """One prompt alone."""

    new: int
    cached: int


@dataclass(frozen=True, slots=True)
class DecodeProbe:
    """Sequences that decode at the same time."""

    count: int
    context: int


@dataclass(frozen=True, slots=True)
class MixedProbe:
    """A prompt that is read while sequences decode."""

    new: int
    cached: int
    count: int
    context: int


@dataclass(frozen=True, slots=True)
class BurstProbe:
    """Prompts that arrive together while sequences decode; only a step log tells its steps."""

    prompts: int
    new: int
    count: int
    context: int


Probe = PrefillProbe | DecodeProbe | MixedProbe | BurstProbe


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server can take."""

    tokens: int
    """of one sequence, prompt and output together"""
    chunk_tokens: int
    """of one step"""
    sequences: int
    """at once; bounds the load of a calibration"""
    cache_tokens: int | None
    """of all sequences together; None is unbounded"""


def one_round(limits: Limits) -> list[Probe]:
    """Return the probes of one round, kinds in turn."""
    prefills = [
        PrefillProbe(new, cached)
        for cached in CACHED
        for new in PREFILL
        if new <= limits.chunk_tokens and _fits(limits, 1, new + cached + 1)
    ]
    decodes = [
        DecodeProbe(count, context)
        for context in CONTEXTS
        for count in DECODES
        if count <= limits.sequences and _fits(limits, count, context + DECODED)
    ]
    mixed = [
        MixedProbe(new, cached, count, context)
        for cached in CACHED[:2]
        for context in MIXED_CONTEXTS
        for count in MIXED_DECODES
        for new in MIXED
        if count < limits.sequences
        and new + count <= limits.chunk_tokens
        and _fits(limits, count, context + MIXED_DECODED + INJECTED * (new + cached) // count)
    ]
    return list(_in_turn([prefills, decodes, mixed]))


def varied(probe: Probe, drawn: np.random.Generator) -> Probe:
    """Return a probe with a prompt that is up to an eighth shorter."""
    if isinstance(probe, DecodeProbe):
        return probe
    return replace(probe, new=probe.new - int(drawn.integers(0, probe.new // 8 + 1)))


def bursts(limits: Limits) -> list[Probe]:
    """Return the probes of a round that need a step log."""
    context = MIXED_CONTEXTS[-1]
    return [
        BurstProbe(prompts, new, count, context)
        for count in BURST_DECODES
        for new in BURST_NEW
        for prompts in BURSTS
        if prompts + count <= limits.sequences
        and _fits(limits, prompts + count, max(new + BURST_DECODED, context + MIXED_DECODED))
    ]


def _fits(limits: Limits, count: int, tokens: int) -> bool:
    """Tell whether so many sequences of so many tokens fit."""
    held = limits.cache_tokens is None or count * tokens <= limits.cache_tokens // 2
    return tokens <= limits.tokens and held


def _in_turn(kinds: Sequence[Sequence[Probe]]) -> Iterator[Probe]:
    """Deal the probes of all kinds out in proportion, so that each kind ends with the round."""
    longest = max(map(len, kinds), default=0)
    slots = [
        {at * longest // len(kind): probe for at, probe in enumerate(kind)} if kind else {}
        for kind in kinds
    ]
    for at in range(longest):
        for slot in slots:
            if at in slot:
                yield slot[at]
