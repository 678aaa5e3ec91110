"""The family that keeps the prefixes ending at a breakpoint, and reads no others.

read     the longest kept prefix among the places looked at: so many segments from each breakpoint
         to the front, or so many kept prefixes of this prompt
written  from there to the last breakpoint; where lifetimes are mixed, each from where the longer
         one ends: with A read, B the last breakpoint of an hour and C the last of five minutes,
         B - A for an hour and C - B for five minutes
kept     at every breakpoint; a lifetime runs from a request's start, and a read renews it. That a
         kept prefix is renewed, too, when a breakpoint stands on it again is an assumption.

Where a trace records no markers, `breakpoints` says what is assumed.
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from phasewise_analyzer.caches.breakpoints import Breakpoint, breakpoints, whole_from
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import Asked, Reason, Served
from phasewise_analyzer.caches.sent_prefixes import Scopes, Sent, scopes
from phasewise_analyzer.prefixes.live_tree import Fork


@dataclass(slots=True)
class _Entry:
    """One kept prefix."""

    life_s: float
    used_s: float
    born_s: float
    """when it could be read first"""

    def state(self, now_s: float) -> Reason:
        """Say why it cannot be read, `nothing missed` where it can."""
        if now_s - self.used_s > self.life_s:
            return "lifetime"
        return "in flight" if self.born_s > now_s else "nothing missed"


class BreakpointHash:
    """Serves prefixes that end at breakpoints."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._sent = Sent()
        self._kept: dict[Hashable, dict[int, dict[Hashable, _Entry]]] = {}
        """by space, number of the prefix, and scope"""

    def serve(self, call: Asked) -> Served:
        """Answer one call, and keep the prefixes at its breakpoints."""
        names = scopes(call, self._policy)
        sent = self._sent.places(call)
        marked = breakpoints(call, self._policy)
        hit = self._readable(call, names, marked)
        read = min(call.ends[hit], call.tokens) if hit >= 0 else 0
        before = min(call.ends[sent - 1], call.tokens) if sent else 0
        reason: Reason = "nothing missed"
        if read < before:
            reason = self._reason(call, names, range(hit + 1, sent), marked)
        written = self._written(read, marked)
        self._sent.keep(call, sent)
        self._keep(call, names, hit, marked)
        return Served(read, written, reason)

    def fork(self, fork: Fork) -> None:
        """Take note of a place that stands before a known one, where prompts now part."""
        self._sent.fork(fork)

    def answered(self, answer: Fork) -> None:
        """Keep nothing: this family does not keep what a model writes."""

    def _readable(self, call: Asked, names: Scopes, marked: list[Breakpoint]) -> int:
        """Return the last place that is looked at and can be read, -1 where there is none."""
        kept = self._kept.get(call.space, {})
        entries = 0
        for place in self._looked_at(call, marked):
            entry = kept.get(call.path[place], {}).get(names[call.tiers[place]])
            if entry is None:
                continue
            if entry.state(call.started_s) == "nothing missed":
                return place
            entries += 1
            if entries == self._policy.latest_breakpoints:
                break
        return -1

    def _looked_at(self, call: Asked, marked: list[Breakpoint]) -> Iterator[int]:
        """Return the places that are looked at, the last first."""
        positions = self._policy.lookback_positions
        seen = len(call.path)
        for one in reversed(marked):
            for place in islice(whole_from(call, one.place), positions):
                if place < seen:
                    yield place
                    seen = place
            if positions is None:
                return  # the last breakpoint has looked at all places

    def _written(self, read: int, marked: list[Breakpoint]) -> Mapping[str, int]:
        if not self._policy.writes_charged:
            return {}
        written: dict[str, int] = {}
        reached = read
        longest_first = sorted(
            {one.lifetime for one in marked}, key=self._policy.lifetime_s, reverse=True
        )
        for lifetime in longest_first:
            end = max(one.tokens for one in marked if one.lifetime == lifetime)
            if end > reached:
                written[lifetime] = end - reached
                reached = end
        return written

    def _keep(self, call: Asked, names: Scopes, hit: int, marked: list[Breakpoint]) -> None:
        policy = self._policy
        now_s = call.started_s if policy.ttl_from == "request_start" else call.available_s
        kept = self._kept.setdefault(call.space, {})
        if hit >= 0 and policy.refresh_on_read:
            entry = kept[call.path[hit]][names[call.tiers[hit]]]
            entry.used_s = max(entry.used_s, now_s)
        for one in marked:
            held = kept.setdefault(call.path[one.place], {})
            scope = names[call.tiers[one.place]]
            life_s = policy.lifetime_s(one.lifetime)
            old = held.get(scope)
            if old is None or old.state(call.started_s) == "lifetime":
                held[scope] = _Entry(life_s, now_s, call.available_s)
            elif one.place > hit:  # paid for again
                old.life_s = max(old.life_s, life_s)
                old.used_s = max(old.used_s, now_s)
                old.born_s = min(old.born_s, call.available_s)
            elif policy.refresh_on_read:
                old.used_s = max(old.used_s, now_s)

    def _reason(
        self, call: Asked, names: Scopes, missed: range, marked: list[Breakpoint]
    ) -> Reason:
        """Say why these places, which had been sent before, were not read."""
        kept = self._kept.get(call.space, {})
        for place in reversed(missed):
            held = kept.get(call.path[place])
            if held is None:
                continue
            entry = held.get(names[call.tiers[place]])
            if entry is None:
                return "settings"
            state = entry.state(call.started_s)
            if state != "nothing missed":
                return state
            return "lookback" if any(one.place >= place for one in marked) else "no marker"
        if call.ends[missed[-1]] < self._policy.min_tokens:
            return "minimum"
        return "no marker" if any(call.whole[place] for place in missed) else "granularity"
