"""Kernels for a new number of tokens: once per number, until many others were used since."""

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.runs.simulation import simulate
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.speculation.config import NgramConfig
from phasewise_analyzer.engine.speculation.drafting_time import WithDrafting
from phasewise_analyzer.engine.step_times import kernel_preparation
from phasewise_analyzer.engine.step_times.batch import Batch
from phasewise_analyzer.engine.step_times.kernel_preparation import (
    NO_PREPARATION,
    Preparation,
    PreparedKernels,
)

from tests.analyzer.engine.made_up_times import MadeUpTimes
from tests.analyzer.engine.slow_engine import SlowEngine, serve

PREPARATION = Preparation(32 / 1024, kept=3)


@dataclass(frozen=True)
class PreparingTimes(MadeUpTimes):
    """Made-up times of an engine that prepares kernels."""

    preparation: Preparation = PREPARATION


class SlowPreparation:
    """The same, looked up in everything that came before."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._seen: list[int] = []

    def step_s(self, batch: Batch) -> float:
        """Return the seconds of the next step."""
        latest = list(dict.fromkeys(reversed(self._seen)))[: self._kept]
        new = batch.tokens not in latest
        self._seen.append(batch.tokens)
        return MadeUpTimes().step_s(batch) + new * PREPARATION.seconds


@st.composite
def traffic(draw: st.DrawFn) -> list[Request]:
    """Draw requests of few and of many tokens."""
    return [
        Request(
            draw(st.integers(0, 400)) / 64, draw(st.integers(1, 20)), draw(st.integers(1, 24)), ()
        )
        for _ in range(draw(st.integers(1, 10)))
    ]


@settings(max_examples=200, deadline=None)
@given(traffic(), st.booleans(), st.integers(1, 4), st.integers(1, 40))
def test_it_agrees_with_a_stepwise_engine(
    requests: list[Request], ahead: bool, kept: int, budget: int
) -> None:
    """Also where many steps are taken at once."""
    config = SchedulerConfig(
        max_num_batched_tokens=max(3, budget), max_num_seqs=3, block_size=4, async_scheduling=ahead
    )
    slow = SlowPreparation(kept)
    calls = serve([SlowEngine(config, 60)], requests, slow.step_s)
    times = PreparingTimes(replace(PREPARATION, kept=kept))
    found = simulate(requests, times, config, blocks=60)
    assert [(one.first_s, one.last_s) for one in found.served] == [
        (one.first, one.last) for one in calls
    ]


def test_a_number_is_new_again_after_so_many_others() -> None:
    """Of three that are kept, the one that was used longest ago goes."""
    kernels = PreparedKernels(PREPARATION)
    for tokens in (1, 2, 3, 1, 4):
        kernels.keep(tokens)
    assert [kernels.missing_s(tokens) > 0 for tokens in (1, 2, 3, 4, 5)] == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_only_step_times_that_know_of_it_have_any() -> None:
    """Times with drafting have that of the steps below them."""
    assert kernel_preparation.of(MadeUpTimes()) == NO_PREPARATION
    assert kernel_preparation.of(PreparingTimes()) == PREPARATION
    assert kernel_preparation.of(WithDrafting(PreparingTimes(), NgramConfig(2))) == PREPARATION
    assert kernel_preparation.of(WithDrafting(MadeUpTimes(), NgramConfig(2))) == NO_PREPARATION
