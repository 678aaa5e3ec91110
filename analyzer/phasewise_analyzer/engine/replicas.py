"""Several engines behind a router that deals requests out in turn."""

from collections.abc import Sequence

from phasewise_analyzer.engine.deployment import Deployment
from phasewise_analyzer.engine.request import Request, Served
from phasewise_analyzer.engine.simulation import Outcome, simulate


def serve(requests: Sequence[Request], engine: Deployment, *, replicas: int) -> Outcome:
    """Serve the requests on so many engines, round robin in the order of arrival."""
    order = sorted(range(len(requests)), key=lambda at: requests[at].arrival_s)
    served: dict[int, Served] = {}
    preemptions = steps = jumps = 0
    busy_s = 0.0
    for replica in range(min(replicas, len(requests))):
        places = order[replica::replicas]
        found = simulate(
            [requests[at] for at in places], engine.times, engine.config, blocks=engine.blocks
        )
        served |= dict(zip(places, found.served, strict=True))
        preemptions += found.preemptions
        steps += found.steps
        jumps += found.jumps
        busy_s += found.busy_s
    in_order = tuple(served[at] for at in range(len(requests)))
    return Outcome(in_order, preemptions, steps, jumps, busy_s)
