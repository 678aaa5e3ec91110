"""The time in which a step prepares kernels for a number of tokens that no recent step had.

vLLM on a CPU multiplies with oneDNN, which compiles a kernel for each number of rows; every layer
keeps the last 32 (vLLM 0.32, `create_onednn_mm`). With a tiny model that was 3 ms, as much as a
step of 100 tokens, for 16 tokens as for 400. GPUs have kernels for all numbers.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from phasewise_analyzer.engine.step_times.batch import StepTimes

KEPT = 32
"""numbers of tokens whose kernels vLLM keeps, those of the latest steps"""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What an engine takes to prepare the kernels of a step."""

    seconds: float = 0.0
    kept: int = KEPT


NO_PREPARATION = Preparation()


@runtime_checkable
class Preparing(Protocol):
    """Step times of prepared kernels, which know what their preparation takes."""

    @property
    def preparation(self) -> Preparation:
        """Say what a step takes besides, whose number of tokens is new."""
        ...


def of(times: StepTimes) -> Preparation:
    """Return what an engine with these step times takes to prepare a step."""
    return times.preparation if isinstance(times, Preparing) else NO_PREPARATION


class PreparedKernels:
    """The numbers of tokens for which an engine has kernels: none yet."""

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation
        self._kept: OrderedDict[int, None] = OrderedDict()

    def missing_s(self, tokens: int) -> float:
        """Return what a step of so many tokens would take to prepare."""
        return 0.0 if tokens in self._kept else self._preparation.seconds

    def keep(self, tokens: int) -> None:
        """Note a step of so many tokens."""
        self._kept[tokens] = None
        self._kept.move_to_end(tokens)
        if len(self._kept) > self._preparation.kept:
            self._kept.popitem(last=False)
