"""A scenario: whose cache policy, which lifetime, whose prices."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from phasewise_store.errors import UsageError

from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.caches.families import with_lifetime
from phasewise_analyzer.caches.policy import Keys, Policy
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.engine.shapes.shape import Shape

MIXED = "mixed"
"""the longest lifetime for tools and system prompt, the shortest behind them"""
ENGINE = "vllm/blocks"
GIGABYTE = 10**9
DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Seller:
    """Who is asked instead."""

    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """One set of rules."""

    name: str
    policy: Policy | None = None
    """None: each call's own, of its day"""
    lifetime: str | None = None
    """instead of the one that a call names; MIXED; None: as sent"""
    seller: Seller | None = None
    """None: each call's own provider and model"""

    @property
    def on_engine(self) -> bool:
        """Return whether one engine of one's own serves all calls, at no price a token."""
        return self.policy is not None and self.policy.isolation == "engine"

    @property
    def same_machine(self) -> bool:
        """Return whether the model that was recorded answers."""
        return self.seller is None and not self.on_engine


OWN = Scenario("own rules")


def parse_seller(text: str) -> Seller:
    """Read `provider/model`; raises UsageError."""
    provider, slash, model = text.partition("/")
    if not slash or not provider or not model:
        raise UsageError(f"`{text}` is not PROVIDER/MODEL, such as anthropic/claude-sonnet-4-5")
    return Seller(provider, model)


def sold_by(seller: Seller, policy: Policy | None, book: Book) -> Scenario:
    """Return the rules and prices of another seller, as they are now; raises UsageError."""
    found = policy or book.policy(seller.provider, seller.model)
    name = f"as {seller.provider}/{seller.model}"
    if found is None:
        raise UsageError(
            f"no cache policy for `{seller.provider}/{seller.model}`; choose one with --policy"
            " (docs/policies.md lists them)"
        )
    return Scenario(name, one_model(found), seller=seller)


def engine(book: Book, kv_bytes: int | None, shape: Shape) -> Scenario:
    """Return a vLLM server with so much KV memory for a model of this shape; None: no limit."""
    policy = one_model(book.named(ENGINE))
    if kv_bytes is None:
        return Scenario("vLLM, no limit", policy)
    capacity = int(kv_bytes // shape.kv_bytes)
    name = f"vLLM, {kv_bytes / GIGABYTE:g} GB of {shape.name}"
    return Scenario(name, replace(policy, capacity_tokens=capacity))


def one_model(policy: Policy) -> Policy:
    """Leave the model out of a policy's keys: one model serves all calls."""
    tools, system, messages = (
        tuple(name for name in names if name != "model")
        for names in (policy.keys.tools, policy.keys.system, policy.keys.messages)
    )
    return replace(policy, keys=Keys(tools, system, messages))


def own_policies(requests: Requests, book: Book) -> tuple[Policy, ...]:
    """Return the policies that the calls follow by themselves."""
    asked = {
        (provider, model, None if started_ns is None else started_ns - started_ns % DAY_NS)
        for provider, model, started_ns in requests.calls.select(
            "provider", "model", "started_ns"
        ).iter_rows()
    }
    found = (book.policy(*one) for one in asked)
    return tuple({one.id: one for one in found if one is not None}.values())


def lifetimes(policies: Iterable[Policy]) -> dict[str, float]:
    """Return the lifetimes of some policies, the shortest first."""
    every = {name: life for one in policies for name, life in one.lifetimes_s.items()}
    return dict(sorted(every.items(), key=lambda pair: pair[1]))


def with_lifetimes(policies: Iterable[Policy]) -> list[Scenario]:
    """Return one scenario a lifetime that is not the default, and the mixed one where it may be."""
    own = tuple(policies)
    names = [
        name
        for name in lifetimes(own)
        if any(name in one.lifetimes_s and name != one.default_lifetime for one in own)
    ]
    found = [Scenario(f"lifetime {name}", lifetime=name) for name in names]
    if any(can_mix(one) for one in own):
        found.append(Scenario("lifetimes mixed", lifetime=MIXED))
    return found


def can_mix(policy: Policy) -> bool:
    """Return whether breakpoints of one call may have several lifetimes."""
    return policy.family == "breakpoint_hash" and len(policy.lifetimes_s) > 1


def check_lifetime(name: str, policies: Iterable[Policy]) -> None:
    """Refuse a lifetime that none of the policies has; raises UsageError."""
    own = tuple(policies)
    if name == MIXED and any(can_mix(one) for one in own):
        return
    if any(name in one.lifetimes_s for one in own):
        return
    known = ", ".join(f"`{one}`" for one in lifetimes(own)) or "none"
    raise UsageError(
        f"no calls have cache rules with a lifetime `{name}`; the lifetimes are {known}"
    )


def under_lifetime(policy: Policy, name: str | None) -> Policy:
    """Return the policy with this lifetime as its default, where it has it."""
    if name is None or name not in policy.lifetimes_s:
        return policy
    return with_lifetime(policy, name)


def living(found: Iterable[Scenario], name: str, own: Iterable[Policy]) -> list[Scenario]:
    """Return these scenarios with another lifetime; of none, the calls' own rules with it.

    Raises UsageError where none of them has it.
    """
    asked = [one for one in found if one.policy is not None]
    check_lifetime(name, [one.policy for one in asked if one.policy is not None] or own)
    return [
        replace(one, name=f"{one.name}, lifetime {name}", lifetime=name)
        for one in asked or [OWN]
        if one.policy is None or name in one.policy.lifetimes_s or can_mix(one.policy)
    ]
