"""Prefixes that are dropped when they have not been used for a time, and for no other reason.

A call uses all of its prefixes at once, so along a path the last uses only go back, and the times
of first availability only go forward: what can be read is found by halving.
"""

from collections.abc import Hashable

from phasewise_analyzer.caches.lookup import Found
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import Asked, Reason
from phasewise_analyzer.caches.sent_prefixes import Scopes, stretches
from phasewise_analyzer.prefixes.live_tree import Fork


class TimedPrefixes:
    """A store without a limit of size."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._life_s = policy.lifetime_s()
        self._used_s: dict[Hashable, dict[int, float]] = {}
        self._born_s: dict[Hashable, dict[int, float]] = {}
        """when it could be read first"""
        self._newest_s = float("-inf")

    def look(self, call: Asked, scopes: Scopes) -> Found:
        """Return what can be read of a prompt now."""
        low, high = 0, len(call.path)
        while low < high:
            middle = (low + high) // 2
            if self._state(call, scopes, middle) == "nothing missed":
                low = middle + 1
            else:
                high = middle
        if low == len(call.path):
            return Found(low, call.ends[-1] if low else 0, "nothing missed")
        return Found(low, call.ends[low - 1] if low else 0, self._state(call, scopes, low))

    def keep(self, call: Asked, scopes: Scopes, found: Found) -> None:
        """Use what was found and keep the rest."""
        for place in range(found.places, len(call.path)):
            scope, number = scopes[call.tiers[place]], call.path[place]
            born = self._born_s.setdefault(scope, {})
            flying = self._state(call, scopes, place) == "in flight"
            earliest = born[number] if flying else call.available_s
            born[number] = min(earliest, call.available_s)
        counted_from_start = self._policy.ttl_from == "request_start"
        now_s = call.started_s if counted_from_start else call.available_s
        for tier, start, end in stretches(call):
            used = self._used_s.setdefault(scopes[tier], {})
            numbers = call.path[start:end]
            if now_s >= self._newest_s:
                used.update(dict.fromkeys(numbers, now_s))
            else:  # an earlier call still answers: its use is the later one
                used.update((one, max(now_s, used.get(one, now_s))) for one in numbers)
        self._newest_s = max(self._newest_s, now_s)

    def fork(self, fork: Fork) -> None:
        """Keep of a new place what is kept of the one below it."""
        for times in (*self._used_s.values(), *self._born_s.values()):
            if fork.below in times:
                times[fork.new] = times[fork.below]

    def _state(self, call: Asked, scopes: Scopes, place: int) -> Reason:
        """Say why a place cannot be read, `nothing missed` where it can."""
        scope, number = scopes[call.tiers[place]], call.path[place]
        used_s = self._used_s.get(scope, {}).get(number)
        if used_s is None:
            return "settings"
        if call.started_s - used_s > self._life_s:
            return "lifetime"
        return "in flight" if self._born_s[scope][number] > call.started_s else "nothing missed"
