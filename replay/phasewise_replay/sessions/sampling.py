"""Choose sessions by a rule.  Pure.

What is drawn follows from the seed and the ids of the sessions, so it is the same in every process.
A session's place in the lot does not depend on the others, so sessions that are recorded later
change a sample as little as possible.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phasewise_replay.plans.session_choice import Sample
from phasewise_replay.sessions.lots import lot


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session that may be chosen."""

    session_id: str
    agent: str
    """of its first call"""
    weight: int
    """its recorded cost, in one unit for all sessions"""


def sample(candidates: Sequence[Candidate], rule: Sample, limit: int, seed: int) -> list[Candidate]:
    """Return at most `limit` of the candidates, which come in the order of their first call."""
    if limit >= len(candidates):
        return list(candidates)
    if rule == "newest":
        return list(candidates[-limit:])
    if rule == "oldest":
        return list(candidates[:limit])
    draw = _stratified if rule == "stratified" else _cost_weighted
    drawn = draw(candidates, limit, seed)
    return [one for one in candidates if one.session_id in drawn]


def quotas(sizes: Mapping[str, int], limit: int) -> dict[str, int]:
    """Share `limit` among groups in proportion to their sizes, at least one each.

    Where there are more groups than places, the largest have one each.
    """
    total = sum(sizes.values())
    order = sorted(sizes, key=lambda name: (-sizes[name], name))
    found = {name: int(place < limit) for place, name in enumerate(order)}
    for _ in range(min(limit, total) - sum(found.values())):
        # the group that is furthest below its part
        most = max(
            (name for name in order if found[name] < sizes[name]),
            key=lambda name: sizes[name] * limit - found[name] * total,
        )
        found[most] += 1
    return found


def _stratified(candidates: Sequence[Candidate], limit: int, seed: int) -> set[str]:
    """Draw from each agent's sessions, as many as its part of all sessions."""
    groups: dict[str, list[Candidate]] = {}
    for one in candidates:
        groups.setdefault(one.agent, []).append(one)
    wanted = quotas({agent: len(own) for agent, own in groups.items()}, limit)
    return {
        one.session_id
        for agent, own in groups.items()
        for one in _mixed(own, seed)[: wanted[agent]]
    }


def _cost_weighted(candidates: Sequence[Candidate], limit: int, seed: int) -> set[str]:
    """Draw with a chance in proportion to the weight: systematic sampling (Madow 1949).

    A session whose part of the weight is above its part of the places is always drawn.
    """
    drawn: set[str] = set()
    left = list(candidates)
    while True:
        total, places = sum(one.weight for one in left), limit - len(drawn)
        certain = [one for one in left if total and one.weight * places >= total]
        if not certain:
            break
        drawn.update(one.session_id for one in certain)
        left = [one for one in left if one.session_id not in drawn]
    mixed = _mixed(left, seed)
    if not total:
        return drawn | {one.session_id for one in mixed[:places]}
    point, passed = lot(seed, "start") % total, 0
    for one in mixed:
        passed += one.weight * places
        if passed > point:
            drawn.add(one.session_id)
            point += total
    return drawn


def _mixed(candidates: Sequence[Candidate], seed: int) -> list[Candidate]:
    return sorted(candidates, key=lambda one: lot(seed, one.session_id))
