"""The families of caches by name: the one place that creates a cache from a policy."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from phasewise_store.errors import UsageError

from phasewise_analyzer.caches.block_prefix import BlockPrefix
from phasewise_analyzer.caches.breakpoint_hash import BreakpointHash
from phasewise_analyzer.caches.explicit_objects import ExplicitObjects
from phasewise_analyzer.caches.policy import Family, Policy
from phasewise_analyzer.caches.prefix_units import PrefixUnits
from phasewise_analyzer.caches.prompt_cache import PromptCache
from phasewise_analyzer.caches.token_radix import TokenRadix

FAMILIES: Mapping[Family, Callable[[Policy], PromptCache]] = {
    "breakpoint_hash": BreakpointHash,
    "block_prefix": BlockPrefix,
    "prefix_units": PrefixUnits,
    "token_radix": TokenRadix,
    "explicit_objects": ExplicitObjects,
}


def make(policy: Policy) -> PromptCache:
    """Make an empty cache that works by the policy."""
    return FAMILIES[policy.family](policy)


def with_lifetime(policy: Policy, name: str) -> Policy:
    """Return the policy with another of its lifetimes as the default; raises UsageError."""
    if name not in policy.lifetimes_s:
        known = ", ".join(f"`{one}`" for one in policy.lifetimes_s) or "none"
        raise UsageError(f"policy `{policy.id}` has no lifetime `{name}`; it has {known}")
    return replace(policy, default_lifetime=name)
