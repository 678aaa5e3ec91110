"""What the analyzer tells the floors above: roll-ups, one session step by step, prefix reuse.

Facts only; `rollups`, `timeline` and `prefixes` make them. Money is exact (Decimal USD), tokens and
nanoseconds are whole, shares lie in [0, 1]. `None` means that nothing is known, never zero.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from phasewise_analyzer.latency import Basis
from phasewise_analyzer.prefixes.hit_rates import HitRates
from phasewise_analyzer.prefixes.lru import LruRow
from phasewise_analyzer.prefixes.ttl import TtlRow


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums over some calls; every number counts calls that can be listed."""

    sessions: int
    calls: int
    input_tokens: int
    """everything the models read, cached included"""
    uncached_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    sent_before_tokens: int
    """of the input, what an earlier call of the data set had sent to the same model"""
    missed_tokens: int
    """sent before, and by the source's report not read from a cache"""
    unreported_tokens: int
    """sent before, in calls whose source does not report its cache"""
    wasted_tokens: int
    """lost in breaks that somebody can repair"""
    priced_calls: int
    """calls whose model has a price; the sums below are over these, None where there is none"""
    prefill_usd: Decimal | None
    """with the cache as reported; where it is not, as the provider's rule would charge"""
    prefill_low_usd: Decimal | None
    """had all been read that was sent before, where the cache is not reported"""
    prefill_high_usd: Decimal | None
    """had nothing been read there"""
    cached_usd: Decimal | None
    """the part of prefill_usd that reported cache reads cost"""
    unreported_usd: Decimal | None
    """the part of prefill_usd that unreported_tokens cost"""
    missed_usd: Decimal | None
    """what missed_tokens cost above a read from the cache"""
    wasted_usd: Decimal | None
    """what wasted_tokens do; None where no break has a price"""
    decode_usd: Decimal | None
    other_usd: Decimal | None
    total_usd: Decimal | None
    timed_calls: int
    """calls whose wait is split; the sums of time below are over these, None where there is none"""
    prefill_ns: int | None
    """computing the input that was not cached"""
    saved_ns: int | None
    """estimate of the prefill that cached tokens saved, over the calls where it can be made"""
    prefill_low_ns: int | None
    prefill_high_ns: int | None
    decode_ns: int | None
    other_ns: int | None
    """queue and network"""
    estimated_calls: int
    """of the timed calls, those whose split is an estimate"""
    cache_unknown_calls: int
    """calls whose source does not report its cache"""
    ambiguous_calls: int
    """calls whose source leaves it open whether its input counts the cached tokens"""
    side_calls: int = 0
    """embeddings and rerankings, which are not among the calls"""
    unpriced_side_calls: int = 0
    side_usd: Decimal | None = None
    """what they cost; a part of other_usd"""


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One row of the agents page: every running instance of one role."""

    agent: str
    totals: Totals


@dataclass(frozen=True, slots=True)
class ModelRow:
    """All calls of one model."""

    model: str | None
    provider: str | None
    totals: Totals


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session."""

    session_id: str
    name: str | None
    source: str
    agents: tuple[str, ...]
    """roles, the main one first"""
    started_ns: int | None
    ended_ns: int | None
    outcome: str | None
    revenue_usd: float | None
    """what the outcome earned, as the program said it"""
    users: tuple[str, ...]
    customers: tuple[str, ...]
    versions: tuple[str, ...]
    """of the agent program"""
    tags: tuple[str, ...]
    totals: Totals


@dataclass(frozen=True, slots=True)
class LabelValue:
    """One value of a label that calls can be filtered by."""

    label: str
    """user, customer, version or tag"""
    value: str
    calls: int


@dataclass(frozen=True, slots=True)
class Step:
    """One LLM call or tool call of a session, in order."""

    kind: Literal["llm", "tool"]
    id: str
    """call_id or tool_call_id"""
    step: int
    """of the LLM call itself; of the call that asked for the tool"""
    agent_id: str
    agent: str
    depth: int
    """0 for the session's main agent, 1 for its sub-agents …"""
    name: str
    """model, or the tool's name"""
    start_ns: int | None
    """from the session's first start"""
    duration_ns: int | None
    basis: Basis = "unknown"
    """how the split in time is known"""
    prefill_ns: int | None = None
    """computing the input that was not cached; prefill + decode + other is the duration"""
    prefill_low_ns: int | None = None
    prefill_high_ns: int | None = None
    saved_ns: int | None = None
    """estimate of the prefill that cached tokens saved; no part of the duration"""
    decode_ns: int | None = None
    other_ns: int | None = None
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    sent_before_tokens: int = 0
    missed_tokens: int = 0
    unreported_tokens: int = 0
    prefill_usd: Decimal | None = None
    prefill_low_usd: Decimal | None = None
    prefill_high_usd: Decimal | None = None
    """had all, or nothing, been read that was sent before; the bill where the cache is reported"""
    cached_usd: Decimal | None = None
    unreported_usd: Decimal | None = None
    missed_usd: Decimal | None = None
    decode_usd: Decimal | None = None
    other_usd: Decimal | None = None
    total_usd: Decimal | None = None
    price_ref: str | None = None
    price_source: str | None = None
    usage_origin: str = "absent"
    cache_reported: bool = True
    ambiguous: bool = False
    finish_reason: str | None = None
    error: str | None = None
    replayable: float | None = None
    """how exactly the call could be sent again, 0 to 1; see `replayable`"""
    gaps: tuple[str, ...] = ()
    """what is missing for that, in words"""
    changes: tuple[str, ...] = ()
    """what a replay changes so that an engine takes the prompt, in words"""
    arguments: str | None = None
    """of a tool: what it was called with; None where that is not known"""
    result: str | None = None
    """of a tool: what it gave back; None where that is not known"""


@dataclass(frozen=True, slots=True)
class SideStep:
    """One embedding or reranking of a session."""

    id: str
    kind: str
    agent: str
    model: str | None
    start_ns: int | None
    """from the session's first start"""
    duration_ns: int | None
    input_tokens: int
    total_usd: Decimal | None
    price_source: str | None
    price_ref: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """One session step by step."""

    row: SessionRow
    steps: tuple[Step, ...]
    wall_ns: int | None
    """from the first start to the last end; None where the source has no times"""
    replayable: float | None = None
    """mean over the LLM calls; None where there are none, or not all are among the steps"""
    side_calls: tuple[SideStep, ...] = ()
    steps_there: int = 0
    """of the whole session; `steps` may be a page of them"""


@dataclass(frozen=True, slots=True)
class Reuse:
    """How much of the prompts was sent before, against two yardsticks."""

    any_earlier: HitRates
    """by any earlier call in scope: what an unbounded shared cache would hit"""
    previous_call: HitRates
    """by the call before it of the same agent instance"""


@dataclass(frozen=True, slots=True)
class Group:
    """The reuse inside one file, session, agent or model; earlier calls of the group only."""

    key: str
    calls: int
    input_tokens: int
    reuse: Reuse


@dataclass(frozen=True, slots=True)
class Prefixes:
    """What `phasewise prefixes` prints."""

    calls: int
    input_tokens: int
    output_tokens: int
    reuse: Reuse
    block_tokens: int
    """tokens a block: of the hashed traces in scope, else vLLM's default"""
    lru: tuple[LruRow, ...]
    ttl: tuple[TtlRow, ...] = ()
    """empty where the source has no times"""
    groups: tuple[Group, ...] = field(default=())
