"""Prefixes in a cache of so many blocks: the least recently used go first, and tails before heads.

A prompt touches its blocks from its tail to its head, as vLLM frees them; so in the order of use
whatever hangs from a block stands before it, and what is evicted leaves no gap: what can be read is
found by halving. A block belongs to the place in whose stretch it ends: one that holds a fork is
there once for each branch.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable

from phasewise_analyzer.caches.lookup import Found
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import Asked, Reason
from phasewise_analyzer.caches.sent_prefixes import Scopes, stretches
from phasewise_analyzer.prefixes.live_tree import Fork

Key = int
"""a prefix in a scope: the scope's own number above 64 bits of the prefix's"""


class BoundedPrefixes:
    """A store with a limit of size."""

    def __init__(self, policy: Policy, capacity_tokens: int) -> None:
        self._policy = policy
        self._block_tokens = policy.granularity_tokens
        self._room = capacity_tokens // self._block_tokens
        self._life_s = policy.lifetime_s()
        self._scopes: dict[Hashable, int] = {}
        self._blocks: OrderedDict[Key, int] = OrderedDict()
        """in order of use, how many blocks end in the stretch of a place"""
        self._taken = 0
        """the sum of these"""
        self._cut: Key | None = None
        """the one place that lost a part of its blocks; it stands first in the order"""
        self._used_s: dict[Key, float] = {}
        self._born_s: dict[Key, float] = {}
        self._evicted: set[Key] = set()
        self._newest_s = float("-inf")

    def look(self, call: Asked, scopes: Scopes) -> Found:
        """Return what can be read of a prompt now."""
        keys = self._keys(call, scopes)
        low, high = 0, len(keys)
        while low < high:
            middle = (low + high) // 2
            if self._state(keys[middle], call.started_s) == "nothing missed":
                low = middle + 1
            else:
                high = middle
        tokens = call.ends[low - 1] if low else 0
        if low == len(keys):
            return Found(low, tokens, "nothing missed")
        state = self._state(keys[low], call.started_s)
        if keys[low] == self._cut and state == "evicted":
            blocks = tokens // self._block_tokens + self._blocks[keys[low]]
            tokens = max(tokens, blocks * self._block_tokens)
        return Found(low, tokens, state)

    def keep(self, call: Asked, scopes: Scopes, found: Found) -> None:
        """Use what was found and keep the rest, then evict what has no room."""
        keys = self._keys(call, scopes)
        size = self._block_tokens
        for place in range(found.places, len(keys)):
            key = keys[place]
            flying = self._state(key, call.started_s) == "in flight"
            earliest = self._born_s[key] if flying else call.available_s
            self._born_s[key] = min(earliest, call.available_s)
            if key not in self._blocks or key == self._cut:
                start = call.ends[place - 1] if place else 0
                blocks = call.ends[place] // size - start // size
                self._taken += blocks - self._blocks.get(key, 0)
                self._blocks[key] = blocks
        if self._cut in keys[found.places :]:
            self._cut = None
        deque(map(self._blocks.move_to_end, reversed(keys)), maxlen=0)
        counted_from_start = self._policy.ttl_from == "request_start"
        now_s = call.started_s if counted_from_start else call.available_s
        used = self._used_s
        if now_s >= self._newest_s:
            used.update(dict.fromkeys(keys, now_s))
        else:  # an earlier call still answers: its use is the later one
            used.update((key, max(now_s, used.get(key, now_s))) for key in keys)
        self._newest_s = max(self._newest_s, now_s)
        self._evict()

    def fork(self, fork: Fork) -> None:
        """Keep of a new place what is kept of the one below it, and the blocks that end in it."""
        size = self._block_tokens
        inside = fork.end_tokens // size - fork.start_tokens // size
        for number in self._scopes.values():
            new, below = (number << 64) + fork.new, (number << 64) + fork.below
            if below in self._evicted:
                self._evicted.add(new)
            if below not in self._blocks:
                continue
            kept = self._blocks[below]
            self._used_s[new], self._born_s[new] = self._used_s[below], self._born_s[below]
            parts = {below: kept - inside, new: inside}  # a head stands behind its tail
            if below == self._cut and kept <= inside:
                parts = {new: kept}
                self._cut = new if kept < inside else None
                del self._used_s[below], self._born_s[below]
                self._evicted.add(below)
            order = [item for item in self._blocks.items() if item[0] != below]
            at = list(self._blocks).index(below)
            self._blocks = OrderedDict([*order[:at], *parts.items(), *order[at:]])

    def _keys(self, call: Asked, scopes: Scopes) -> list[Key]:
        keys: list[Key] = []
        for tier, start, end in stretches(call):
            above = self._scopes.setdefault(scopes[tier], len(self._scopes)) << 64
            keys += [above + number for number in call.path[start:end]]
        return keys

    def _evict(self) -> None:
        while self._taken > self._room:
            key, blocks = next(iter(self._blocks.items()))
            over = self._taken - self._room
            if blocks > over:
                self._blocks[key] = blocks - over
                self._taken -= over
                self._cut = key
                return
            if key == self._cut:
                self._cut = None
            del self._blocks[key], self._used_s[key], self._born_s[key]
            self._evicted.add(key)
            self._taken -= blocks

    def _state(self, key: Key, now_s: float) -> Reason:
        """Say why a place cannot be read, `nothing missed` where it can."""
        if key not in self._blocks:
            return "evicted" if key in self._evicted else "settings"
        if now_s - self._used_s[key] > self._life_s:
            return "lifetime"
        if self._born_s[key] > now_s:
            return "in flight"
        return "evicted" if key == self._cut else "nothing missed"
