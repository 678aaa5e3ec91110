"""The family that keeps each prefix as one whole unit, read only by prompts that hold all of it.

Units are made (1) of every prompt, alone and with its answer, (2) of the prefix that a prompt
shares with an earlier one, when that is seen: of A+B and A+C the second reads nothing and makes A,
which A+D then reads; (3) every so many tokens, where the policy knows how many.
"""

from collections.abc import Hashable

from phasewise_analyzer.caches.lookup import keep_answers
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import Asked, Reason, Served
from phasewise_analyzer.caches.sent_prefixes import Scopes, Sent, scopes
from phasewise_analyzer.caches.timed_prefixes import TimedPrefixes
from phasewise_analyzer.prefixes.live_tree import Fork


class PrefixUnits:
    """Serves whole units."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._sent = Sent()
        self._shared = Sent()
        """the same, told apart by the settings too"""
        self._unit_ends: dict[Hashable, set[int]] = {}
        self._prefixes = TimedPrefixes(policy)

    def serve(self, call: Asked) -> Served:
        """Answer one call, and keep its units."""
        names = scopes(call, self._policy)
        sent = self._sent.places(call)
        shared = self._shared.places(call, names)
        found = self._prefixes.look(call, names)
        read = self._unit(call, names, found.places)
        if self._policy.unit_interval_tokens is not None:
            read = max(read, found.tokens - found.tokens % self._policy.unit_interval_tokens)
        read = min(read, call.tokens)
        if read < self._policy.min_tokens:
            read = 0
        for end in {shared, len(call.path)} - {0}:
            scope = names[call.tiers[end - 1]]
            self._unit_ends.setdefault(scope, set()).add(call.path[end - 1])
        self._sent.keep(call, sent)
        self._shared.keep(call, shared, names)
        self._prefixes.keep(call, names, found)
        keep_answers(self._prefixes, self._policy, call, names)
        for answer in call.answers if self._policy.keeps_answers else ():
            scope = names[answer.tiers[-1]]
            self._unit_ends.setdefault(scope, set()).add(answer.path[-1])
        before = min(call.ends[sent - 1], call.tokens) if sent else 0
        reason: Reason = "nothing missed"
        if read < before:
            reason = found.why if found.places < sent else "granularity"
            if before < self._policy.min_tokens:
                reason = "minimum"
        return Served(read, reason=reason)

    def fork(self, fork: Fork) -> None:
        """Take note of a place that stands before a known one, where prompts now part."""
        for one in (self._sent, self._shared, self._prefixes):
            one.fork(fork)

    def answered(self, answer: Fork) -> None:
        """Take note that a new place is the answer that was kept as another one."""
        self._prefixes.fork(answer)
        for ends in self._unit_ends.values():
            if answer.below in ends:
                ends.add(answer.new)

    def _unit(self, call: Asked, names: Scopes, places: int) -> int:
        """Return the tokens of the longest unit among the first places."""
        for place in range(places - 1, -1, -1):
            if call.path[place] in self._unit_ends.get(names[call.tiers[place]], ()):
                return call.ends[place]
        return 0
