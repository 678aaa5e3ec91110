"""A deployment under load: its engines, and further replicas of it, behind a router."""

from collections.abc import Sequence

from phasewise_analyzer.engine.deployments.deployment import Deployment
from phasewise_analyzer.engine.runs import routers
from phasewise_analyzer.engine.runs.engine_run import EngineRun
from phasewise_analyzer.engine.runs.fleet import RoutedEngines
from phasewise_analyzer.engine.runs.routers import Router
from phasewise_analyzer.engine.runs.simulation import Outcome, simulate
from phasewise_analyzer.engine.schedulers.request import Request


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
    return simulate(
        requests,
        engine.times,
        engine.config,
        blocks=engine.blocks,
        ranks=engine.ranks,
        engines=replicas * engine.engines,
        router=router or _own_router(engine),
        front=engine.front,
    )


def fleet(engine: Deployment, *, replicas: int = 1, router: Router | None = None) -> RoutedEngines:
    """Start so many replicas, cold; see `serve`."""
    runs = [
        EngineRun(engine.times, engine.config, blocks=engine.blocks, ranks=engine.ranks)
        for _ in range(replicas * engine.engines)
    ]
    return RoutedEngines(runs, router=router or _own_router(engine), front=engine.front)


def _own_router(engine: Deployment) -> Router | None:
    least_loaded = engine.engines > 1 and engine.config.engine == "vLLM"
    return routers.LeastLoaded() if least_loaded else None
