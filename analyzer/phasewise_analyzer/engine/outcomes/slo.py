"""Service-level objectives of a request, and how many requests meet them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.schedulers.request import Served


@dataclass(frozen=True, slots=True)
class Slo:
    """The most that a request may take, in seconds; None is no limit."""

    ttft: float | None = None
    """time to first token, the queue included"""
    tpot: float | None = None
    """time per output token after the first"""
    latency: float | None = None

    def met(self, served: Served) -> bool:
        """Tell whether a request was served within all limits."""
        pairs = (
            (self.ttft, served.ttft_s),
            (self.tpot, served.tpot_s),
            (self.latency, served.latency_s),
        )
        return all(limit is None or seconds is None or seconds <= limit for limit, seconds in pairs)

    def attainment(self, served: Sequence[Served]) -> float:
        """Return the share of requests that meet it."""
        return sum(map(self.met, served)) / len(served)

    def goodput(self, served: Sequence[Served]) -> float:
        """Return the requests per second that meet it, from the first arrival to the last token."""
        makespan = max(one.last_s for one in served) - min(one.arrival_s for one in served)
        return sum(map(self.met, served)) / makespan


def parse(text: str) -> Slo:
    """Read `ttft=2,tpot=0.05`, in seconds.  Raises UsageError for anything else."""
    known = [one.name for one in fields(Slo)]
    limits: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        try:
            limits[name] = float(value)
        except ValueError:
            limits[name] = 0.0
        if name not in known or not limits[name] > 0:
            raise UsageError(
                f"`{part}` is not an SLO: give seconds for one or more of {', '.join(known)}, "
                "as in  --slo ttft=2,tpot=0.05"
            )
    return Slo(**limits)
