"""The frontier of throughput and latency, and the largest load that meets an SLO.

The stream of requests is sent faster and slower: its arrivals keep their pattern, and the time
between them is scaled. The rate is doubled or halved until one meets the SLO and the next does not,
then bisected.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.outcomes.slo import Slo
from phasewise_analyzer.engine.outcomes.summary import Summary, summarise
from phasewise_analyzer.engine.runs.simulation import Outcome
from phasewise_analyzer.engine.schedulers.request import Request

DOUBLINGS = 12
BISECTIONS = 5
"""after them the largest load is known to 2 %"""


@dataclass(frozen=True, slots=True)
class Point:
    """One load."""

    rate: float
    """requests per second that arrive"""
    summary: Summary
    attainment: float
    """share of requests that meet the SLO"""
    goodput: float
    """requests per second that meet it"""


@dataclass(frozen=True, slots=True)
class Frontier:
    """What a sweep found."""

    points: tuple[Point, ...]
    """by rate"""
    largest: Point | None
    """the largest load that meets the SLO; None where none of them does"""


def sweep(
    requests: Sequence[Request],
    serve: Callable[[Sequence[Request]], Outcome],
    slo: Slo,
    *,
    share: float,
) -> Frontier:
    """Find the loads at which at least a share of the requests meets the SLO.

    Raises UsageError for a stream whose requests all arrive at once: it has no rate.
    """
    arrivals = [one.arrival_s for one in requests]
    span = max(arrivals) - min(arrivals)
    if span <= 0:
        raise UsageError("all requests arrive at once: a sweep needs a stream with a rate")
    own = (len(requests) - 1) / span
    points: dict[float, Point] = {}

    def meets(rate: float) -> bool:
        scaled = [replace(one, arrival_s=one.arrival_s * own / rate) for one in requests]
        found = serve(scaled)
        points[rate] = Point(
            rate,
            summarise(found.served, found.preemptions),
            slo.attainment(found.served),
            slo.goodput(found.served),
        )
        return points[rate].attainment >= share

    low, high = _bracket(own, meets)
    for _ in range(BISECTIONS if low is not None and high is not None else 0):
        assert low is not None
        assert high is not None
        middle = (low * high) ** 0.5
        low, high = (middle, high) if meets(middle) else (low, middle)
    ordered = tuple(points[rate] for rate in sorted(points))
    return Frontier(ordered, None if low is None else points[low])


def _bracket(own: float, meets: Callable[[float], bool]) -> tuple[float | None, float | None]:
    """Return the largest rate found that meets the SLO, and the smallest that does not."""
    if meets(own):
        low = own
        for _ in range(DOUBLINGS):
            if not meets(low * 2):
                return low, low * 2
            low *= 2
        return low, None
    high = own
    for _ in range(DOUBLINGS):
        if meets(high / 2):
            return high / 2, high
        high /= 2
    return None, high
