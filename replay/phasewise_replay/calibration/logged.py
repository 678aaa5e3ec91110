"""Measured mixed steps of a vLLM that logs its steps: also those of several prompts.

The counters of such a server tell the mean of a few mixed steps with one prompt each. Lone prompts
and steps that only decode stay as the counters have them: there, probes have nothing beside them.
"""

from collections import defaultdict

import numpy as np
from phasewise_analyzer.engine.runs import logged_steps
from phasewise_analyzer.engine.runs.logged_steps import PlacedStep
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_analyzer.engine.step_times.fitted_steps import kind_of
from phasewise_analyzer.engine.step_times.step_fit import MeasuredStep
from phasewise_store.errors import UsageError

from phasewise_replay.engines.step_log import StepLog

SAME_CONTEXT = 64
"""decode steps whose mean contexts differ by less count as one measurement"""

Alike = tuple[tuple[Chunk, ...], int, int]


def mixed_steps(log: StepLog) -> list[MeasuredStep]:
    """Return the mixed steps since the log's mark; those that are alike are one, with their mean.

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
            mixed = kind_of(step.batch) == "mixed"
            if mixed and step.known and not step.recomputing and step.seconds > 0:
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
        len(steps),
    )
