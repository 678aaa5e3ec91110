"""What has been sent before: the yardstick for what a cache could have served.

Prefixes count as the same only in the same scope; a place's scope is named by its tier.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator

from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import Asked
from phasewise_analyzer.prefixes.live_tree import Fork

Scopes = tuple[Hashable, Hashable, Hashable]
"""what makes a prefix that ends in a tier the same, beside its text"""


def scopes(call: Asked, policy: Policy) -> Scopes:
    """Return the scopes of a call: space, routing key, and the settings of the tiers so far."""
    key = (call.space, call.sharding) if policy.sharding else (call.space,)
    one, two, three = call.settings
    return (*key, one), (*key, one, two), (*key, one, two, three)


def stretches(call: Asked) -> Iterator[tuple[int, int, int]]:
    """Return the stretch of each tier that is there: tier, first place, place after the last."""
    start = 0
    for tier in range(3):
        end = bisect_left(call.tiers, tier + 1, start)
        if start < end:
            yield tier, start, end
        start = end


class Sent:
    """The numbers of all prefixes that calls have sent."""

    def __init__(self) -> None:
        self._known: dict[Hashable, set[int]] = {}

    def places(self, call: Asked, within: Scopes | None = None) -> int:
        """Count the places from the front that an earlier call had, in its space or scopes."""
        nothing: set[int] = set()
        known = [self._known.get(scope, nothing) for scope in within or (call.space,) * 3]
        path, tiers = call.path, call.tiers
        # whatever starts with a prefix starts with all shorter ones: known, then unknown
        low, high = 0, len(path)
        while low < high:
            middle = (low + high) // 2
            if path[middle] in known[tiers[middle]]:
                low = middle + 1
            else:
                high = middle
        return low

    def keep(self, call: Asked, known: int, within: Scopes | None = None) -> None:
        """Remember a call, of which so many places were known."""
        names = within or (call.space,) * 3
        for tier, start, end in stretches(call):
            if known < end:
                fresh = call.path[max(start, known) : end]
                self._known.setdefault(names[tier], set()).update(fresh)

    def fork(self, fork: Fork) -> None:
        """Take note of a new place: whoever sent the one below it has sent it."""
        for known in self._known.values():
            if fork.below in known:
                known.add(fork.new)
