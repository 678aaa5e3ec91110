"""Measured steps of a vLLM that logs its steps: those of which its counters tell too little.

The counters tell the mean of a few mixed steps with one prompt each, and of steps that verify
drafts neither how long they take nor how many drafts they have. Lone prompts, and steps that only
decode without drafts, stay as the counters have them: there, probes have nothing beside them.
"""

from collections import defaultdict
from collections.abc import Set

import numpy as np
from phasewise_analyzer.engine.runs import logged_steps
from phasewise_analyzer.engine.runs.logged_steps import PlacedStep
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_analyzer.engine.step_times.fitted_steps import StepKind, kind_of
from phasewise_analyzer.engine.step_times.kernel_preparation import Preparation, PreparedKernels
from phasewise_analyzer.engine.step_times.step_fit import MeasuredStep
from phasewise_store.errors import UsageError

from phasewise_replay.engines.step_log import StepLog

SAME_CONTEXT = 64
"""decode steps whose mean contexts differ by less count as one measurement"""

Alike = tuple[tuple[Chunk, ...], int, int, int]


def kinds(*, drafts: bool) -> Set[StepKind]:
    """Return the kinds of steps that are taken from the log."""
    return {"decode", "mixed"} if drafts else {"mixed"}


def steps(log: StepLog, taken: Set[StepKind], preparation: Preparation) -> list[MeasuredStep]:
    """Return the steps of some kinds since the log's mark; alike ones are one, with their mean.

    What a step took to prepare its kernels is taken off.
    Raises UsageError for a server with several engines.
    """
    by_engine = log.steps()
    if len(by_engine) > 1:
        raise UsageError(
            f"the step log has {len(by_engine)} data-parallel engines: calibrate one of them alone"
        )
    alike: dict[Alike, list[tuple[PlacedStep, float]]] = defaultdict(list)
    prepared = PreparedKernels(preparation)
    for found in by_engine.values():
        for step in logged_steps.place(found, drafts=log.drafts).steps:
            seconds = step.seconds - prepared.missing_s(step.batch.tokens)
            prepared.keep(step.batch.tokens)
            wanted = kind_of(step.batch) in taken
            if wanted and step.known and not step.recomputing and seconds > 0:
                alike[_key(step.batch)].append((step, seconds))
    return [_mean(found) for found in alike.values()]


def _key(batch: Batch) -> Alike:
    mean = batch.context // max(1, batch.decodes)
    return batch.chunks, batch.decodes, batch.drafts, mean // SAME_CONTEXT


def _mean(found: list[tuple[PlacedStep, float]]) -> MeasuredStep:
    batch = found[0][0].batch
    context = round(np.mean([step.batch.context for step, _ in found]))
    longest = round(np.mean([step.batch.longest for step, _ in found]))
    return MeasuredStep(
        Batch(
            batch.chunks,
            decodes=batch.decodes,
            context=context,
            longest=longest,
            drafts=batch.drafts,
        ),
        float(np.mean([seconds for _, seconds in found])),
        len(found),
    )
