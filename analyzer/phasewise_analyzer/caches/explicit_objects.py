"""The family in which a caller stores a prefix as an object, and pays to keep it.

The object ends at the call's last marker; where a trace records none, behind tools and system: an
assumption. The first call that needs it creates it: its tokens are written, at the price of a
write and of storing them for the whole lifetime; that the creating call then reads them, too, at
the price of a read is left out. Later calls read it while it lives; reading does not renew it.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import MESSAGES, Asked, Reason, Served
from phasewise_analyzer.caches.sent_prefixes import Sent, scopes
from phasewise_analyzer.prefixes.live_tree import Fork


@dataclass(frozen=True, slots=True)
class _Stored:
    """An object."""

    ends_s: float
    """its last moment"""
    born_s: float


class ExplicitObjects:
    """Serves stored objects."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._sent = Sent()
        self._stored: dict[tuple[Hashable, int], _Stored] = {}
        self._ever: set[tuple[Hashable, int]] = set()
        """space and number of what was stored, whatever the settings"""

    def serve(self, call: Asked) -> Served:
        """Answer one call; store its prefix where no object of it lives."""
        sent = self._sent.places(call)
        self._sent.keep(call, sent)
        before = min(call.ends[sent - 1], call.tokens) if sent else 0
        place, lifetime = self._end(call)
        tokens = min(call.ends[place], call.tokens) if place >= 0 else 0
        if place < 0 or tokens < self._policy.min_tokens:
            reason: Reason = "no marker" if before >= self._policy.min_tokens else "minimum"
            return Served(0, reason=reason if before else "nothing missed")
        scope = scopes(call, self._policy)[call.tiers[place]]
        key = (scope, call.path[place])
        old = self._stored.get(key)
        if old is not None and old.born_s <= call.started_s <= old.ends_s:
            return Served(tokens, reason="no marker" if before > tokens else "nothing missed")
        return self._store(call, key, tokens, lifetime, before)

    def fork(self, fork: Fork) -> None:
        """Take note of a place that stands before a known one, where prompts now part."""
        self._sent.fork(fork)

    def answered(self, answer: Fork) -> None:
        """Keep nothing: this family does not keep what a model writes."""

    def _store(
        self, call: Asked, key: tuple[Hashable, int], tokens: int, lifetime: str | None, before: int
    ) -> Served:
        old = self._stored.get(key)
        flying = old is not None and old.born_s > call.started_s
        life_s = self._policy.lifetime_s(lifetime)
        reason: Reason = "nothing missed"
        if before:
            reason = "in flight" if flying else "lifetime"
        if before and old is None:
            reason = "settings" if (call.space, key[1]) in self._ever else "no marker"
        self._ever.add((call.space, key[1]))
        if old is None or not flying:
            self._stored[key] = _Stored(call.started_s + life_s, call.available_s)
        elif call.available_s < old.born_s:
            self._stored[key] = _Stored(old.ends_s, call.available_s)
        written = {self._policy.lifetime_name(lifetime): tokens}
        hours = 0.0 if life_s == float("inf") else life_s / 3600
        if not self._policy.writes_charged:
            written = {}
        return Served(0, written, reason, stored_token_hours=tokens * hours)

    def _end(self, call: Asked) -> tuple[int, str | None]:
        """Return the place where the object ends, -1 for none, and its lifetime."""
        if call.markers is not None:
            last = max(call.markers, key=lambda one: one.place, default=None)
            inside = last is not None and 0 <= last.place < len(call.path)
            return (last.place, last.ttl) if last is not None and inside else (-1, None)
        for place in range(len(call.path) - 1, -1, -1):
            if call.tiers[place] < MESSAGES and call.whole[place]:
                return place, None
        return -1, None
