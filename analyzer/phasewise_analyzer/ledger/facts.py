"""What `ledger.keep` tells the floors above: each call explained, and the bill by its reasons."""

from dataclasses import dataclass
from decimal import Decimal

READ = "cached"
FIRST = "first seen"
APPENDED = "appended"
BREAK = "break: "
"""and the cause"""
RULE = "rule: "
"""and what the provider's rule says of it: lifetime, minimum, no marker, lookback …"""
PROVIDER = "provider-side"
"""the rule promises that it is read, and it was not: evicted, another machine, an incident"""
UNKNOWN = "no rule known"
UNREPORTED = "cache not reported"
"""sent before; the source does not report its cache"""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a call's input tokens that have one reason."""

    reason: str
    tokens: int
    usd: Decimal | None
    """what they were charged; None where the call has no price"""
    extra_usd: Decimal | None
    """of it, above a read from the cache"""


@dataclass(frozen=True, slots=True)
class Explained:
    """One call: what its provider's rule says was read, and what was."""

    row: int
    """place among the calls in scope"""
    call_id: str
    policy: str | None
    """id of the record of its day; None where the book has none"""
    sent_before: int
    """tokens of the prompt that an earlier call of the model had sent"""
    predicted_read: int | None
    reported_read: int | None
    """None where the source does not say"""
    granularity: int
    """tokens by which a prediction may be off: what the provider reads is a multiple of it"""
    parts: tuple[Part, ...]
    """in the order of the prompt; their tokens are the input's, their money the input bill"""

    @property
    def is_exact(self) -> bool:
        """Return whether what was read is what the rule says."""
        if self.predicted_read is None or self.reported_read is None:
            return False
        return abs(self.predicted_read - self.reported_read) < self.granularity


@dataclass(frozen=True, slots=True)
class Line:
    """All parts that have one reason."""

    reason: str
    calls: int
    tokens: int
    usd: Decimal | None
    """what they were charged"""
    extra_usd: Decimal | None
    """of it, above a read from the cache"""


@dataclass(frozen=True, slots=True)
class Account:
    """The lines of one file, session, agent or model."""

    key: str
    calls: int
    input_tokens: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """From some call on, a provider reads another share of what its rule promises."""

    provider: str | None
    model: str | None
    at_ns: int | None
    """start of the first call after the change; None where there are no times"""
    call_id: str
    before: float
    """share of the promised tokens that was read before it"""
    after: float
    calls: int
    """on which it was judged"""
    p_value: float
    """how often chance alone shows as large a change (permutations)"""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What `phasewise ledger` prints."""

    calls: int
    input_tokens: int
    prefill_usd: Decimal | None
    """the input bill of the priced calls: the sum of the lines"""
    lines: tuple[Line, ...]
    """in a fixed order, what was read first"""
    judged_calls: int
    """with a rule and a reported cache"""
    exact_calls: int
    """of them, those of which exactly as much was read as the rule says"""
    drifts: tuple[Drift, ...]
    accounts: tuple[Account, ...]
    """the same inside each group, where one was asked for; in the order of their first calls"""
    explained: tuple[Explained, ...]
    """in order of start; calls with a known prompt or usage"""
