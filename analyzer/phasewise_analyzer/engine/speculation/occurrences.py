"""An index of token sequences: where the last tokens occurred before, and what followed them.

It answers what a suffix tree answers, with lists of places instead of nodes: a place is the number
of tokens before it in one long list in which all sequences stand, each behind a separator.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

import numpy as np

from phasewise_analyzer.engine.caches.token_ids import TokenIds

SEPARATOR = -1
"""an id that no token has"""
NO_TOKENS: TokenIds = np.empty(0, dtype=np.int64)


class Occurrences:
    """Sequences of tokens that grow at the end of the last one."""

    def __init__(self, start: TokenIds = NO_TOKENS) -> None:
        """Begin a first sequence; its start is sorted at once, which is fast for long prompts."""
        self.tokens: list[int] = [SEPARATOR, *start.tolist()]
        self._start = start
        self._order = np.argsort(start, kind="stable")
        self._sorted = start[self._order]
        self._after: dict[int, list[int]] = {}
        """by token: the places after it, behind the start"""
        self._after_pair: dict[tuple[int, int], list[int]] = {}
        self._forgotten = 0
        """up to this place nothing is found any more"""

    def begin(self) -> None:
        """Start another sequence."""
        self.tokens.append(SEPARATOR)

    def extend(self, tokens: Sequence[int]) -> None:
        """Append tokens to the last sequence."""
        place = len(self.tokens)
        before = self.tokens[-1]
        for token in tokens:
            place += 1
            self._after.setdefault(token, []).append(place)
            self._after_pair.setdefault((before, token), []).append(place)
            before = token
        self.tokens.extend(tokens)

    def forget_first(self) -> None:
        """Forget the oldest sequence."""
        self._forgotten = self.tokens.index(SEPARATOR, self._forgotten + 1)

    def after(self, token: int) -> list[int]:
        """Return the places after a token, in order."""
        first, last = np.searchsorted(self._sorted, [token, token + 1])
        found: list[int] = (self._order[first:last] + 2).tolist()
        return self._remembered(found + self._after.get(token, []))

    def after_pair(self, one: int, other: int) -> list[int]:
        """Return the places after two tokens, in order."""
        first, last = np.searchsorted(self._sorted, [other, other + 1])
        places = self._order[first:last]
        places = places[(self._start[places - 1] == one) & (places > 0)]
        found: list[int] = (places + 2).tolist()
        return self._remembered(found + self._after_pair.get((one, other), []))

    def followers(self, places: Sequence[int], distance: int) -> list[int]:
        """Return the tokens that stand so far behind some places, in the same sequence."""
        tokens = self.tokens
        end = len(tokens) - distance
        found = [tokens[place + distance] for place in places if place < end]
        return [token for token in found if token != SEPARATOR]

    def _remembered(self, places: list[int]) -> list[int]:
        return places[bisect_right(places, self._forgotten) :] if self._forgotten else places


def most_frequent(followers: Sequence[int]) -> tuple[int, int]:
    """Return the token that follows most often, and how often; of equals, the tree's first.

    The suffix tree keeps children in the order of their counts. One whose count grows moves before
    those that have the same count as the child in front of it, if that is not more than its new
    count: the first of those with the old count leads the new ones, any other comes last of them.
    """
    counts = Counter(followers)
    (token, most), *others = counts.most_common(2)
    if not others or others[0][1] < most:
        return token, most
    order: list[int] = []
    seen: dict[int, int] = {}
    for follower in followers:
        count = seen.get(follower)
        if count is None:
            order.append(follower)
            seen[follower] = 1
            continue
        at = order.index(follower)
        if at and seen[order[at - 1]] <= count + 1:
            before = seen[order[at - 1]]
            order.pop(at)
            order.insert(next(i for i, one in enumerate(order) if seen[one] == before), follower)
        seen[follower] = count + 1
    return order[0], most
