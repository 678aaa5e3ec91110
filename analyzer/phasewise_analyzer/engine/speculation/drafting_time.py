"""The host's time between steps, which the GPU waits for where vLLM drafts from text.

vLLM 0.32 schedules asynchronously with neither method: after a step the host samples, drafts, and
plans the next one. Its n-gram proposer has one thread that reads the whole context of every
sequence. Suffix decoding builds a tree of the whole prompt when a call generates its first token.
Both drafters were timed on one core of a server CPU, on recorded agent calls with contexts of 1,000
to 100,000 tokens; a desktop CPU may take half of it.
"""

from dataclasses import dataclass

import numpy as np

from phasewise_analyzer.engine.speculation.config import NgramConfig, SpeculationConfig
from phasewise_analyzer.engine.step_times import kernel_preparation
from phasewise_analyzer.engine.step_times.batch import Basis, Batch, FloatArray, StepTimes
from phasewise_analyzer.engine.step_times.kernel_preparation import Preparation

STEP_S = 1.2e-3
"""per step, what asynchronous scheduling would hide; of SpecDecode-Bench's fit to vLLM on an H100
(Llama-3.1-8B, arXiv 2601.11580): 1.207 ms"""
NGRAM_TOKEN_S = 1.3e-9
"""per token of context and step, vLLM 0.32's proposer"""
SUFFIX_PROMPT_TOKEN_S = 2.2e-6
"""per prompt token and call, Arctic Inference 0.1.2's tree of depth 24"""
SUFFIX_SEQUENCE_S = 60e-6
"""per sequence and step, the same"""


@dataclass(frozen=True, slots=True)
class WithDrafting:
    """Step times with the time of drafting."""

    steps: StepTimes
    config: SpeculationConfig
    exposed_s: float = STEP_S
    """host time per step that is not in the step times; 0 where they were measured with it"""

    @property
    def basis(self) -> Basis:
        """Say where the times of the steps come from."""
        return self.steps.basis

    @property
    def preparation(self) -> Preparation:
        """Say what a step takes besides, whose number of tokens is new."""
        return kernel_preparation.of(self.steps)

    def step_s(self, batch: Batch) -> float:
        """Return the seconds of one step."""
        return self.steps.step_s(batch) + self._drafting_s(batch)

    def decode_run_s(self, first: Batch, steps: int) -> FloatArray:
        """Return the seconds of so many decode steps in a row."""
        more = np.zeros(steps)
        if isinstance(self.config, NgramConfig):
            more = NGRAM_TOKEN_S * first.decodes * np.arange(steps, dtype=np.float64)
        times: FloatArray = self.steps.decode_run_s(first, steps) + self._drafting_s(first) + more
        return times

    def _drafting_s(self, batch: Batch) -> float:
        if isinstance(self.config, NgramConfig):
            return self.exposed_s + NGRAM_TOKEN_S * (batch.context + batch.completed)
        drafting_s = SUFFIX_PROMPT_TOKEN_S * batch.completed + SUFFIX_SEQUENCE_S * batch.decodes
        return self.exposed_s + drafting_s
