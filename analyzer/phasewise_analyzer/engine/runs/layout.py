"""How many engines of a deployment serve, and what each of them does: replicas, or phases apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.deployments.deployment import Deployment
from phasewise_analyzer.engine.runs import replicas, routers
from phasewise_analyzer.engine.runs.disaggregation import DisaggregatedEngines, kv_copy
from phasewise_analyzer.engine.runs.fleet import Fleet
from phasewise_analyzer.engine.runs.simulation import Outcome, refuse_oversized, serve_stream
from phasewise_analyzer.engine.schedulers.request import Request


@dataclass(frozen=True, slots=True)
class Layout:
    """Engines behind a router; with both `prefill` and `decode` they are disaggregated."""

    replicas: int = 1
    router: str | None = None
    """how the engine is chosen that reads a prompt; None takes turns"""
    prefill: int = 0
    """engines that read prompts"""
    decode: int = 0
    """engines that generate"""
    copy_bytes_s: float | None = None
    """of the link between them, per GPU; None is the one between GPUs of one machine"""

    def __post_init__(self) -> None:
        """Reject a layout that serves nothing; raises UsageError."""
        if bool(self.prefill) != bool(self.decode):
            raise UsageError("prefill and decode engines need each other: name both numbers")
        if self.prefill and self.replicas > 1:
            raise UsageError("name either replicas, or prefill and decode engines")

    @property
    def engines(self) -> int:
        """How many there are."""
        return self.prefill + self.decode or self.replicas

    @property
    def aggregated(self) -> "Layout":
        """As many engines, each of which serves both phases."""
        return Layout(self.engines, self.router)

    def gpus(self, engine: Deployment) -> int:
        """Return how many GPUs they hold."""
        return self.engines * engine.tp * engine.ranks * engine.engines

    def name(self, engine: Deployment) -> str:
        """Return the engines in words."""
        if self.prefill:
            return f"{self.prefill} prefill and {self.decode} decode engines, each {engine.name}"
        return f"{self.replicas} x {engine.name}"

    def fleet(self, engine: Deployment) -> Fleet:
        """Start the engines, cold.  Raises NotModelledError where phases cannot be apart."""
        router = None if self.router is None else routers.named(self.router)
        if not self.prefill:
            return replicas.fleet(engine, replicas=self.replicas, router=router)
        return DisaggregatedEngines(
            engine,
            prefill=self.prefill,
            decode=self.decode,
            copy=kv_copy(engine, self.copy_bytes_s),
            router=router,
        )

    def serve(self, requests: Sequence[Request], engine: Deployment) -> Outcome:
        """Serve a stream of requests."""
        if not self.prefill:
            router = None if self.router is None else routers.named(self.router)
            return replicas.serve(requests, engine, replicas=self.replicas, router=router)
        refuse_oversized(requests, engine.config, engine.blocks)
        return serve_stream(requests, self.fleet(engine))
