"""A deployment under load: its engines, and further replicas of it, behind a router."""

from collections.abc import Sequence

from phasewise_analyzer.engine import routers
from phasewise_analyzer.engine.deployment import Deployment
from phasewise_analyzer.engine.request import Request
from phasewise_analyzer.engine.routers import Router
from phasewise_analyzer.engine.simulation import Outcome, simulate


def serve(
    requests: Sequence[Request],
    engine: Deployment,
    *,
    replicas: int = 1,
    router: Router | None = None,
) -> Outcome:
    """Serve the requests on so many replicas.

    Without a router, replicas take turns. Data-parallel ranks of a dense model are engines of their
    own; vLLM's load balancer gives a request to the least loaded, and SGLang's deals them out.
    """
    if router is None and engine.engines > 1 and engine.config.engine == "vLLM":
        router = routers.LeastLoaded()
    return simulate(
        requests,
        engine.times,
        engine.config,
        blocks=engine.blocks,
        ranks=engine.ranks,
        engines=replicas * engine.engines,
        router=router,
        front=engine.front,
    )
