"""How one provider or engine caches prompts, and from when to when: a dated record with sources.

Records are data (`records/*.yaml`, or a user's own), read by `book` and run by the families of
code that `families` lists. A field that a family does not use stays at its default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal, get_args

Family = Literal[
    "breakpoint_hash", "block_prefix", "prefix_units", "token_radix", "explicit_objects"
]
"""breakpoint_hash: keeps the prefixes that end at a breakpoint, and no others
block_prefix: keeps whole prompts in blocks, reads the longest prefix that is still there
prefix_units: keeps a prompt as one unit; it is read only by prompts that hold all of it
token_radix: keeps whole prompts in a tree of tokens
explicit_objects: keeps what the caller stores as an object, for as long as the caller pays"""

Confidence = Literal["documented", "measured", "inferred"]
"""documented: the seller's own page says so; measured: somebody tried; inferred: a guess, and the
notes say from what"""

Implicit = Literal["none", "last_segment", "latest_user_or_tool"]
"""the breakpoint that is put where the caller puts none"""

Clock = Literal["request_start", "answer_start"]
"""what a lifetime is counted from"""

Isolation = Literal["workspace", "organization", "account", "engine"]
"""what shares a cache"""

FAMILIES: tuple[Family, ...] = get_args(Family)
"""all of them"""

SETTINGS = (
    "model",
    "service_tier",
    "speed",
    "betas",
    "web_search",
    "citations",
    "context_management",
    "output_format",
    "tool_choice",
    "disable_parallel_tool_use",
    "images_present",
    "thinking",
    "effort",
    "lora",
    "cache_salt",
)
"""settings of a call that a record may name as part of a key"""


HOUR_S = 3600.0
"""price lists know two rates of a write: for an hour, and for less"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule is written."""

    url: str
    seen: date
    """when it was read there"""
    says: str = ""
    """what it says, where that needs telling"""


@dataclass(frozen=True, slots=True)
class Keys:
    """Names out of SETTINGS that are part of the key of each tier and of the tiers behind it."""

    tools: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """One way of caching and charging, and the days on which it held."""

    id: str
    """names the record, e.g. for a what-if"""
    providers: tuple[str, ...]
    """as the price list spells them"""
    models: tuple[str, ...]
    """patterns in which `*` stands for anything; the most specific that matches is taken"""
    family: Family
    confidence: Confidence
    sources: tuple[Source, ...]
    effective_from: date | None = None
    """the first day, UTC; None: as far back as anybody knows"""
    effective_until: date | None = None
    """the first day on which it no longer holds; None: it holds"""
    opt_in: bool = False
    """the caller has to ask for it: found by its id only, never by provider and model"""
    min_tokens: int = 0
    """a shorter prefix is not kept"""
    granularity_tokens: int = 1
    """what is read is a multiple of this"""
    keeps_answers: bool = False
    """what the model writes is kept too, for a prompt that sends it again"""
    leave_a_token: bool = False
    """the prompt's last token is always computed"""
    unit_interval_tokens: int | None = None
    """prefix units are also made every so many tokens; None: not, or nobody knows"""
    capacity_tokens: int | None = None
    """None: it holds everything"""
    max_breakpoints: int | None = None
    """that one call may have, the implicit one counted; the last of them hold"""
    lookback_positions: int | None = None
    """segments looked at for a kept prefix, from each breakpoint to the front, itself counted"""
    latest_breakpoints: int | None = None
    """how many of the kept prefixes of the prompt are looked at, the longest first"""
    implicit_breakpoint: Implicit = "none"
    lifetimes_s: Mapping[str, float] = field(default_factory=dict)
    """by the name that calls give them; empty: nothing is dropped for its age"""
    default_lifetime: str | None = None
    """one of `lifetimes_s`; None where there is none"""
    ttl_from: Clock = "request_start"
    refresh_on_read: bool = True
    """a read starts the lifetime anew"""
    keys: Keys = Keys()
    sharding: bool = False
    """the caller's routing key splits the cache"""
    isolation: Isolation = "organization"
    writes_charged: bool = False
    """what is kept is charged at a price of its own"""
    write_multipliers: Mapping[str, Decimal] = field(default_factory=dict)
    """of the input price, by lifetime, where the price list has no price for a write"""
    read_multiplier: Decimal | None = None
    """of the input price, where the price list has no price for a read; None: not known"""
    storage_usd_mtok_hour: Decimal | None = None
    """USD to keep a million tokens for an hour; None: free, or not known"""
    best_effort: bool = False
    """nothing is guaranteed: the model gives what it would serve at its best"""
    notes: str = ""
    """what is not known, and where sources disagree"""

    def __hash__(self) -> int:
        return hash(self.id)

    def lifetime_s(self, name: str | None = None) -> float:
        """Return a lifetime by its name, the default where it is None or unknown here."""
        if name not in self.lifetimes_s:
            name = self.default_lifetime
        return self.lifetimes_s[name] if name is not None else float("inf")

    def is_long(self, name: str) -> bool:
        """Return whether writes that live so long are charged as those of an hour."""
        return self.lifetimes_s.get(name, 0.0) >= HOUR_S

    def lifetime_name(self, name: str | None = None) -> str:
        """Return the name under which a write with this lifetime is charged."""
        if name is not None and name in self.lifetimes_s:
            return name
        return self.default_lifetime or "unlimited"
