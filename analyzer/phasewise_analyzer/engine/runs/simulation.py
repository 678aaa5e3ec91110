"""Serves a stream of requests whose arrivals are known on simulated engines (open loop)."""

from collections.abc import Sequence as Sequences
from dataclasses import dataclass

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.runs.engine_run import EngineRun
from phasewise_analyzer.engine.runs.fleet import Fleet, RoutedEngines
from phasewise_analyzer.engine.runs.routers import Router
from phasewise_analyzer.engine.schedulers.request import Request, Served
from phasewise_analyzer.engine.schedulers.scheduler import EngineConfig
from phasewise_analyzer.engine.schedulers.sequence import Sequence
from phasewise_analyzer.engine.step_times.batch import StepTimes
from phasewise_analyzer.engine.step_times.front import NO_FRONT, Front


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulation found."""

    served: tuple[Served, ...]
    """in the order of the requests"""
    preemptions: int
    steps: int
    jumps: int
    """stretches of steps that were taken at once"""
    busy_s: float
    """time in which a rank computed, summed over data-parallel ranks and engines"""
    prefill_s: float
    """the part of it that reading prompts caused, see `phase_share`; the rest is decode"""


def simulate(
    requests: Sequences[Request],
    times: StepTimes,
    config: EngineConfig,
    *,
    blocks: int | None,
    ranks: int = 1,
    engines: int = 1,
    router: Router | None = None,
    front: Front = NO_FRONT,
) -> Outcome:
    """Serve the requests with so many KV blocks per rank (None: never short of them).

    `ranks` data-parallel ranks of an engine run their steps together; `engines` are on their own,
    behind a router (default: round robin). Requests pass a server's front first.
    Raises UsageError for a request that alone does not fit in the KV cache.
    """
    refuse_oversized(requests, config, blocks)
    runs = [EngineRun(times, config, blocks=blocks, ranks=ranks) for _ in range(engines)]
    fleet = RoutedEngines(runs, router=router, front=front)
    served = _submit(requests, fleet)
    fleet.drain()
    return sum_up(served, runs)


def serve_stream(requests: Sequences[Request], fleet: Fleet) -> Outcome:
    """Serve the requests on any fleet, which is new."""
    served = _submit(requests, fleet)
    while fleet.run():
        pass
    return sum_up(served, fleet.engines)


def _submit(requests: Sequences[Request], fleet: Fleet) -> list[Served]:
    """Send all requests, in order of time."""
    sequences = [
        Sequence(index, one, Served(one.arrival_s), total=one.input_tokens)
        for index, one in enumerate(requests)
    ]
    for sequence in sorted(sequences, key=lambda one: one.request.arrival_s):
        fleet.submit(sequence)
    return [one.served for one in sequences]


def refuse_oversized(
    requests: Sequences[Request], config: EngineConfig, blocks: int | None
) -> None:
    """Raise UsageError for a request that alone does not fit in the KV cache."""
    for index, one in enumerate(requests):
        needed = config.blocks_needed(one)
        if blocks is not None and needed > blocks:
            raise UsageError(
                f"request {index + 1} needs {needed:,} KV blocks of {config.block_size} tokens, "
                f"and the engine has {blocks:,}: {config.engine} would refuse it"
            )


def sum_up(served: Sequences[Served], runs: Sequences[EngineRun]) -> Outcome:
    """Return the outcome of engines that have served everything."""
    return Outcome(
        tuple(served),
        preemptions=sum(run.preemptions for run in runs),
        steps=sum(run.steps for run in runs),
        jumps=sum(run.jumps for run in runs),
        busy_s=sum(run.busy_s for run in runs),
        prefill_s=sum(run.prefill_s for run in runs),
    )
