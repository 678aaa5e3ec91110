"""Where the breakpoints of a call stand: the caller's own, those of the policy, or assumed ones.

A trace does not always record markers. Where it does not and the policy puts none of its own, two
are assumed, as good clients set them: behind tools and system, and on the last segment. This is an
assumption, and what follows from it is one, too.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import MESSAGES, Asked


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A place whose prefix is to be kept."""

    place: int
    tokens: int
    """from the front to the place"""
    lifetime: str
    """as the policy names it"""


def breakpoints(call: Asked, policy: Policy) -> list[Breakpoint]:
    """Give the breakpoints that hold, front first; prefixes below the minimum have none."""
    default = policy.lifetime_name()
    implicit = _implicit(call, policy)
    marked = dict.fromkeys(implicit, default)
    if call.markers is not None:
        marked |= {one.place: policy.lifetime_name(one.ttl) for one in call.markers}
    elif policy.implicit_breakpoint == "none":
        marked = dict.fromkeys(_assumed(call), default)
    places = _last(marked, implicit, policy.max_breakpoints)
    found = (
        Breakpoint(place, min(call.ends[place], call.tokens), marked[place])
        for place in places
        if 0 <= place < len(call.path)
    )
    return [one for one in found if one.tokens >= policy.min_tokens]


def _last(marked: Iterable[int], implicit: list[int], most: int | None) -> list[int]:
    """Give the last of the places, so many as may be; the policy's own is always among them."""
    explicit = sorted(place for place in marked if place not in implicit)
    if most is not None:
        explicit = explicit[max(0, len(explicit) - most + len(implicit)) :]
    return sorted((*explicit, *implicit))


def _implicit(call: Asked, policy: Policy) -> list[int]:
    """Give the place of the policy's own breakpoint, if it puts one.

    A path does not say who speaks: the last segment of the messages is taken for the latest one of
    a user or a tool, which it is unless the caller begins the answer itself.
    """
    if policy.implicit_breakpoint == "none" or not call.implicit:
        return []
    for place in whole_from(call, len(call.path) - 1):
        return [place]
    return []


def _assumed(call: Asked) -> list[int]:
    """Give the last segment before the messages, and the last of all."""
    last = next(whole_from(call, len(call.path) - 1), None)
    front = next(whole_from(call, bisect_left(call.tiers, MESSAGES) - 1), None)
    return sorted({place for place in (front, last) if place is not None})


def whole_from(call: Asked, place: int) -> Iterator[int]:
    """Walk from a place to the front, over places where a segment ends."""
    for here in range(place, -1, -1):
        if call.whole[here]:
            yield here
