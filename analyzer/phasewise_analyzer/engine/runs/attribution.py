"""Shares the time of each engine step among its calls; the shares sum to the time of the step.

- A mixed step is first shared between prefill and decode, see `phase_share`.
- Prefill is shared among chunks by the times they would take alone.
- Decode has a floor, what a step with one short sequence takes: mostly the reading of weights. The
  sequences share it equally. The rest is marginal: each sequence's part is proportional to a
  constant plus its context.

Chunks of a sequence that was preempted are recomputation, a line of its own within prefill. What a
step takes longer than without draft tokens is shared among these, and what rejected ones took is a
line of its own within marginal.
"""

from collections.abc import Sequence as Sequences
from dataclasses import replace

import numpy as np

from phasewise_analyzer.engine.runs import phase_share
from phasewise_analyzer.engine.runs.phase_share import Share
from phasewise_analyzer.engine.schedulers.scheduler import Scheduled
from phasewise_analyzer.engine.step_times.batch import Batch, FloatArray, StepTimes

SHORT, LONG = 1, 4096
"""contexts between which the cost of a token of context is taken"""


class Attribution:
    """Adds each step to the calls in it."""

    def __init__(self, times: StepTimes) -> None:
        self._times = times
        one = times.step_s(Batch(decodes=1, context=SHORT, longest=SHORT))
        two = times.step_s(Batch(decodes=2, context=2 * SHORT, longest=SHORT))
        far = times.step_s(Batch(decodes=1, context=LONG, longest=LONG))
        token = (far - one) / (LONG - SHORT)
        self._floor_s = one
        self._constant = max(0.0, two - one) / token if token > 0 else np.inf
        """what a sequence costs besides its context, in tokens of context"""

    def add_step(self, part: Scheduled, seconds: float) -> float:
        """Share a step that took so long on one rank; return what prefill caused of it."""
        batch = part.batch
        if batch.chunks or batch.elsewhere:
            share = phase_share.share(batch, self._times)
        else:
            share = Share(0.0, seconds)
        prefill_s = seconds * share.prefill
        self._add_chunks(part, prefill_s)
        if part.decoding:
            alone = share.decode_alone_s
            decode_s = seconds - prefill_s
            if part.verified:
                undrafted = replace(
                    batch.decode_part, context=batch.context - batch.drafts, drafts=0
                )
                less = min(1.0, self._times.step_s(undrafted) / alone)
                self._add_drafts(part, decode_s * (1 - less))
                decode_s, alone = decode_s * less, alone * less
            floor_s = decode_s * min(1.0, self._floor_s / alone)
            rest_s = decode_s - floor_s
            mean = batch.context / batch.decodes
            self._add_decodes(part, floor_s, rest_s, rest_s / (self._constant + mean))
        return prefill_s

    @staticmethod
    def _add_drafts(part: Scheduled, seconds: float) -> None:
        """Share what draft tokens add to a step."""
        per_token_s = seconds / part.batch.drafts
        for (sequence, _), (drafted, accepted) in zip(part.decoding, part.verified, strict=True):
            sequence.served.marginal_s += drafted * per_token_s
            sequence.served.rejected_s += (drafted - accepted) * per_token_s

    def add_run(self, part: Scheduled, seconds: FloatArray) -> None:
        """Share a run of steps in which the same sequences decode."""
        floor_s = np.minimum(self._floor_s, seconds)
        rest_s = seconds - floor_s
        mean = part.batch.context / part.batch.decodes + np.arange(len(seconds))
        per_token_s = rest_s / (self._constant + mean)
        self._add_decodes(part, float(floor_s.sum()), float(rest_s.sum()), float(per_token_s.sum()))

    def _add_chunks(self, part: Scheduled, seconds: float) -> None:
        chunks = part.batch.chunks
        alone = [1.0] if len(chunks) == 1 else [self._times.step_s(Batch((one,))) for one in chunks]
        whole = sum(alone)
        for sequence, weight in zip(part.reading, alone, strict=True):
            part_s = seconds * weight / whole
            sequence.served.prefill_s += part_s
            if sequence.epoch:
                sequence.served.recompute_s += part_s

    @staticmethod
    def _add_decodes(part: Scheduled, floor_s: float, rest_s: float, per_token_s: float) -> None:
        """Share one or more steps in a row, in which the contexts grow by one token per step.

        A sequence's part of the rest, (a + C_i + j) / (N·a + sum C + N·j), is 1/N plus what its
        context differs from the mean: two sums over the steps are enough for all sequences.
        """
        count = len(part.decoding)
        mean = part.batch.context / count
        floor_s, rest_s, per_token_s = floor_s / count, rest_s / count, per_token_s / count
        for sequence, context in part.decoding:
            served = sequence.served
            served.floor_s += floor_s
            served.marginal_s += rest_s + (context - mean) * per_token_s


def idle_shares(busy_s: Sequences[float], wall_s: float) -> list[float]:
    """Return the part of the idle time that each call pays, in proportion to its busy time."""
    whole = sum(busy_s)
    idle_s = wall_s - whole
    return [idle_s * one / whole for one in busy_s]
