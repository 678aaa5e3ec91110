"""What a prompt cache is asked and what it answers: the facts that all families of caches share."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from phasewise_analyzer.prefixes.live_tree import Fork

TIERS = ("tools", "system", "messages")
"""the parts of a prompt, in the order in which models read them"""
MESSAGES = TIERS.index("messages")

Reason = Literal[
    "nothing missed",
    "lifetime",
    "minimum",
    "no marker",
    "lookback",
    "in flight",
    "granularity",
    "evicted",
    "settings",
]
"""why a cache did not serve all that had been sent before:
lifetime: it had been kept, and was dropped after the time it lives
minimum: the provider caches no prefix this short
no marker: no breakpoint stood at or behind it when it was sent
lookback: an entry is there, further back than the provider looks
in flight: the call that writes it had not begun to answer
granularity: caches keep whole blocks or units; the rest of one is read again
evicted: it made room for others
settings: a setting that is part of the key differs"""


@dataclass(frozen=True, slots=True)
class Marker:
    """A breakpoint: the prefix up to and including this place is to be cached."""

    place: int
    """index into the path"""
    ttl: str | None = None
    """lifetime as the policy names it (`5m`, `1h`); None: the policy's default"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call as a cache sees it.

    `path`, `ends`, `whole` and `tiers` have an entry for every place of the prompt, front first.
    A place is where a segment ends, or where another prompt parts from this one inside a segment.
    """

    space: Hashable
    """what shares a cache: account or workspace, and model"""
    started_s: float
    available_s: float
    """when its answer began: what it writes can be read from then on"""
    path: Sequence[int]
    """the number of the prefix that ends at each place; equal prefixes have equal numbers"""
    ends: Sequence[int]
    """tokens from the front to each place"""
    whole: Sequence[bool]
    """whether a segment (or a block of a hashed trace) ends there: only there a marker can stand"""
    tiers: Sequence[int]
    """index into TIERS"""
    tokens: int
    """of the whole prompt"""
    settings: tuple[Hashable, Hashable, Hashable] = (None, None, None)
    """the settings in the key of each tier; a prefix is the same only if those of its tier and of
    the tiers before it are"""
    markers: tuple[Marker, ...] | None = None
    """None where the trace does not say"""
    sharding: Hashable = None
    """the caller's own routing key, e.g. OpenAI's `prompt_cache_key`"""
    implicit: bool = True
    """whether the policy's own breakpoint is put too; OpenAI's `explicit` mode puts none"""
    answers: tuple["Asked", ...] = ()
    """the prompt with what the model answered behind it, as later calls of the trace send it"""


@dataclass(frozen=True, slots=True)
class Served:
    """What the cache did with one call; tokens read + written + uncached are the whole prompt."""

    read: int
    written: Mapping[str, int] = field(default_factory=dict)
    """tokens that a write is charged for, by lifetime; empty where writing is free"""
    reason: Reason = "nothing missed"
    """why no more was read, where more of the prompt had been sent before in this space"""
    stored_token_hours: float = 0.0
    """what this call paid storage for in advance; 0 where storing is free"""

    def uncached(self, tokens: int) -> int:
        """Return the tokens of the prompt that are charged in full."""
        return tokens - self.read - sum(self.written.values())


class PromptCache(Protocol):
    """A cache that is asked one call after another, in order of their start."""

    def serve(self, call: Asked) -> Served:
        """Answer one call, and keep what the rules say is kept."""
        ...

    def fork(self, fork: Fork) -> None:
        """Take note of a place that stands before a known one, where prompts now part."""
        ...

    def answered(self, answer: Fork) -> None:
        """Take note that a new place is the answer that was kept as another one."""
        ...
