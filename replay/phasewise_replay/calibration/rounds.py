"""Runs rounds of probes for a time, and keeps of each probe the steps of median time."""

import time
from collections.abc import Callable, Collection, Sequence

import numpy as np
from phasewise_analyzer.engine.step_times import step_fit
from phasewise_analyzer.engine.step_times.fitted_steps import StepKind
from phasewise_analyzer.engine.step_times.step_fit import MeasuredStep

from phasewise_replay.calibration.probes import Probe, varied
from phasewise_replay.calibration.subject import Subject

ROUNDS = 9
"""at most; the middle of a probe's rounds counts"""
PATIENCE = 3
"""times the seconds, for a server whose steps are not enough for a fit until then"""

Report = Callable[[int, int], None]
"""told after each probe: probes done in this round, and all of the round"""


def measured(
    subject: Subject,
    planned: Sequence[Probe],
    seconds: float,
    *,
    report: Report,
    kinds: Collection[StepKind],
    clock: Callable[[], float] = time.monotonic,
) -> list[MeasuredStep]:
    """Run rounds for so many seconds; return the middle steps of each probe.

    A slow server may not be through its first round by then, and a busy machine may keep sequences
    from running together. So it goes on, up to PATIENCE times as long, until the first round is
    over and every kind of step that is counted has enough for its fit.
    """
    found: dict[Probe, list[MeasuredStep]] = {}
    drawn = np.random.default_rng()
    began = clock()
    enough = False
    for _ in range(ROUNDS):
        for done, probe in enumerate(planned, start=1):
            if clock() - began > (seconds if enough else PATIENCE * seconds):
                return _middle(found)
            step = subject.run(varied(probe, drawn))
            if step is not None:
                found.setdefault(probe, []).append(step)
            report(done, len(planned))
        kept = _middle(found)
        enough = not any(step_fit.lacking(kept, kind) for kind in kinds)
    return _middle(found)


def _middle(found: dict[Probe, list[MeasuredStep]]) -> list[MeasuredStep]:
    """Return of each probe the step of median time, or the two around it."""
    kept = []
    for steps in found.values():
        ordered = sorted(steps, key=lambda step: step.seconds)
        kept += ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
    return kept
