"""What `breaks.find` tells the floors above: each break, and those of one place together."""

from dataclasses import dataclass
from decimal import Decimal

from phasewise_analyzer.diagnosis.causes import Cause


@dataclass(frozen=True, slots=True)
class Break:
    """One call that read again what an earlier call had sent."""

    call_id: str
    session_id: str
    agent: str
    model: str | None
    step: int
    after_call_id: str
    """the call it was compared with"""
    gap_s: float | None
    """from the start of the call before it to its own"""
    cause: Cause
    tier: str
    """tools, system, messages: where the first difference stands"""
    place: str
    """of the template, the same for all breaks that one line of code makes"""
    before: str
    """the differing text as it was sent before, cut short; empty where only hashes are known"""
    after: str
    expected_tokens: int
    """of the prompt, that the call before it had sent and this one could have shared"""
    shared_tokens: int
    """of the prompt, that some earlier call of the model had sent"""
    read_tokens: int | None
    """served from the provider's cache; None where the source does not say"""
    lost_tokens: int
    """read again at the full price, or written again"""
    lost_usd: Decimal | None
    """what they cost more than a read from the cache; None where no price is known"""
    provider_says: str | None = None
    """the provider's own reason for the miss, where the trace carries one"""


@dataclass(frozen=True, slots=True)
class Finding:
    """All breaks that have one agent, place and cause in common."""

    agent: str
    cause: Cause
    tier: str
    place: str
    calls: int
    sessions: int
    lost_tokens: int
    lost_usd: Decimal | None
    usd_a_month: Decimal | None
    """at the pace of the trace; None where it spans less than a day or has no times"""
    example: Break
    """the dearest of them"""


@dataclass(frozen=True, slots=True)
class Breaks:
    """What `phasewise breaks` prints."""

    calls: int
    """in scope, with a known prompt"""
    input_tokens: int
    """of all calls in scope"""
    prefill_usd: Decimal | None
    """of all calls in scope that have a price"""
    findings: tuple[Finding, ...]
    """dearest first"""
    breaks: tuple[Break, ...]
    """in order of arrival"""
    deep_breaks: int
    """calls that share less than half of what they and the call before them both have"""
    wasted_tokens: int
    """lost in breaks that are no use to anybody"""
    wasted_usd: Decimal | None
    waste: float
    """share of the input tokens that is wasted, in [0, 1]"""
    diagnosed_calls: int = 0
    """of which the provider itself said whether, and why, its cache missed"""
    agreed_calls: int = 0
    """of them, those of which we say the same"""
