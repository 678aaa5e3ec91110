"""Measured steps of a vLLM that logs them: what each probe made it run, exactly.

Probes of such a server may have steps that its counters cannot tell apart: prompts that arrive
together, and beside sequences that decode.
"""

from collections import defaultdict

import numpy as np
from phasewise_analyzer.engine.runs import logged_steps
from phasewise_analyzer.engine.runs.logged_steps import PlacedStep
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_analyzer.engine.step_times.step_fit import MeasuredStep
from phasewise_store.errors import UsageError

from phasewise_replay.engines.step_log import StepLog

SAME_CONTEXT = 64
"""decode steps whose mean contexts differ by less count as one measurement"""

Alike = tuple[tuple[Chunk, ...], int, int]


def measured_steps(log: StepLog) -> list[MeasuredStep]:
    """Return the steps since the log's mark; those that are alike are one, with their mean.

    Raises UsageError for a server with several engines.
    """
    by_engine = log.steps()
    if len(by_engine) > 1:
        raise UsageError(
            f"the step log has {len(by_engine)} data-parallel engines: calibrate one of them alone"
        )
    alike: dict[Alike, list[PlacedStep]] = defaultdict(list)
    for steps in by_engine.values():
        for step in logged_steps.place(steps).steps:
            if step.known and not step.recomputing and step.seconds > 0:
                alike[_key(step.batch)].append(step)
    return [_mean(steps) for steps in alike.values()]


def _key(batch: Batch) -> Alike:
    mean = batch.context // max(1, batch.decodes)
    return batch.chunks, batch.decodes, mean // SAME_CONTEXT


def _mean(steps: list[PlacedStep]) -> MeasuredStep:
    batch = steps[0].batch
    context = round(np.mean([step.batch.context for step in steps]))
    longest = round(np.mean([step.batch.longest for step in steps]))
    return MeasuredStep(
        Batch(batch.chunks, decodes=batch.decodes, context=context, longest=longest),
        float(np.mean([step.seconds for step in steps])),
    )
