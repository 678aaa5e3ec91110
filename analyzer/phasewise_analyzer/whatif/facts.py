"""The result of a what-if: tokens, cost and time to first token under each set of rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.findings import Totals


@dataclass(frozen=True, slots=True)
class Spent:
    """The tokens of some calls; read + written + uncached are their whole prompts."""

    read: int
    written: Mapping[str, int]
    """by lifetime, where writing is charged"""
    uncached: int
    output: int

    @property
    def input(self) -> int:
        """All prompts."""
        return self.read + sum(self.written.values()) + self.uncached


@dataclass(frozen=True, slots=True)
class Money:
    """What they cost, USD, exact; the parts sum to the total."""

    read_usd: Decimal
    written_usd: Decimal
    uncached_usd: Decimal
    storage_usd: Decimal
    output_usd: Decimal
    request_usd: Decimal

    @property
    def input_usd(self) -> Decimal:
        """What the prompts cost."""
        return self.read_usd + self.written_usd + self.uncached_usd + self.storage_usd

    @property
    def total_usd(self) -> Decimal:
        """What all costs."""
        return self.input_usd + self.output_usd + self.request_usd


@dataclass(frozen=True, slots=True)
class FirstToken:
    """The mean time to the first token, seconds."""

    mean_s: float
    low_s: float
    """ends of the interval that holds 95 % of what the mean may be"""
    high_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """All calls in scope under one set of rules."""

    name: str
    calls: int
    """with a known prompt"""
    spent: Spent
    money: Money | None
    """None where no price is known, e.g. on an engine of one's own"""
    unpriced_calls: int
    """of the calls, those that `money` leaves out"""
    unruled_calls: int
    """of the calls, those whose rules nobody knows: nothing is read for them"""
    policies: tuple[str, ...] = ()
    """ids of the records by which it was done; none for what was billed"""
    first_token: FirstToken | None = None
    """None where the data give no model of it, or another machine would answer"""
    capacity_tokens: int | None = None
    """of an engine's KV cache; None: no limit, or a provider's"""
    cache_known_calls: int | None = None
    """for what was billed, the calls whose source says what a cache served; else None"""

    @property
    def cached(self) -> float | None:
        """Return the share of the prompts that is read from a cache, in [0, 1]."""
        return self.spent.read / self.spent.input if self.spent.input else None

    def saved_usd(self, other: "Outcome") -> Decimal | None:
        """Return what this costs less than another; negative where it costs more."""
        if self.money is None or other.money is None:
            return None
        return other.money.total_usd - self.money.total_usd


@dataclass(frozen=True, slots=True)
class Repaired:
    """One cause of breaks, repaired in all prompts in scope."""

    cause: Cause
    action: str
    """what was done to the prompts"""
    risk: str
    """what the repair may change beside the cache"""
    places: tuple[str, ...]
    """agent and place of each finding that it repairs"""
    changed_calls: int
    alone: Outcome
    """with this repair and no other"""
    added: Outcome
    """with this one and those before it in the list"""


@dataclass(frozen=True, slots=True)
class Repairs:
    """Repairs, those that save most alone first."""

    repaired: tuple[Repaired, ...]
    together: Outcome | None
    """all at once; None where there is none"""
    unrepaired: tuple[str, ...]
    """causes that were found and that no re-writing of prompts repairs"""
    together_longest: Outcome | None = None
    """all at once, and the longest lifetime of the calls' own rules"""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where breakpoints are put, each with its lifetime, front first."""

    marks: tuple[tuple[str, str], ...]
    """class of place and lifetime"""
    cost: Decimal
    """USD for the prompts; where no price is known, in tokens at the input price"""
    cached: float
    """share of the prompts that is read, in [0, 1]"""


@dataclass(frozen=True, slots=True)
class BreakpointPlan:
    """The best breakpoints of one agent under one policy."""

    agent: str
    policy: str
    calls: int
    """that were simulated"""
    left_out_calls: int
    """of the agent's, left out to keep the search short: whole sessions, the newest"""
    in_usd: bool
    """whether `cost` is in USD"""
    sent: Placement | None
    """the markers that the trace recorded; None where it does not say"""
    naive: Placement
    """end of the system prompt and last segment, at the default lifetime"""
    best: Placement
    tried: int
    """placements that were simulated"""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What `phasewise whatif` prints."""

    recorded: Totals
    """all calls in scope as every page shows them"""
    billed: Outcome
    """those of them with a known prompt, as their stored bills are: nothing else is simulated"""
    baseline: Outcome
    """the same calls by the rules that they are taken to follow; what differences are against"""
    others: tuple[Outcome, ...]
    repairs: Repairs | None
    plans: tuple[BreakpointPlan, ...]
