"""The front of a server: from lone prompts, and from bursts that a simulation has to explain."""

import pytest
from phasewise_analyzer.engine.runs.simulation import simulate
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.step_times.batch import Batch, FloatArray
from phasewise_analyzer.engine.step_times.front import Front
from phasewise_replay.calibration import burst_front
from phasewise_replay.calibration.burst_front import Burst
from phasewise_replay.calibration.probes import BURST_DECODED

from tests.analyzer.engine.made_up_times import MadeUpTimes

CONFIG = SchedulerConfig(async_scheduling=False)


class FastTimes(MadeUpTimes):
    """Steps that are a thousand times as fast, so that the front is what takes time."""

    def step_s(self, batch: Batch) -> float:
        """Return the seconds of one step."""
        return super().step_s(batch) / 1000

    def decode_run_s(self, first: Batch, steps: int) -> FloatArray:
        """Return the seconds of so many decode steps in a row."""
        times: FloatArray = super().decode_run_s(first, steps) / 1000
        return times


TIMES = FastTimes()


def burst(count: int, tokens: int, front: Front) -> Burst:
    """Simulate what a burst takes on a server with a known front."""
    requests = [Request(0.0, tokens, BURST_DECODED, ()) for _ in range(count)]
    served = simulate(requests, TIMES, CONFIG, blocks=None, front=front).served
    return Burst(tokens, (0.0,) * count, sum(one.ttft_s for one in served) / count)


def test_the_busy_time_is_that_with_which_bursts_take_as_long() -> None:
    """A front that is busy for 4 ms and 5 microseconds per token is found again."""
    front = Front(0.01, 0.004, 1e-6, 5e-6)
    bursts = [burst(count, tokens, front) for count in (4, 8) for tokens in (8, 1024)]
    lone = Front(0.01, token_s=1e-6)
    found = burst_front.of_bursts(lone, bursts, TIMES, CONFIG, blocks=None)
    assert (found.latency_s, found.token_s) == (0.01, 1e-6)
    assert found.busy_s == pytest.approx(0.004, rel=0.1)
    assert found.busy_token_s == pytest.approx(5e-6, rel=0.2)


def test_without_bursts_a_front_is_never_busy() -> None:
    """As where a calibration may send one request at a time only."""
    assert burst_front.of_bursts(Front(0.1), [], TIMES, CONFIG, blocks=None) == Front(0.1)


def test_the_latency_is_read_from_lone_prompts_although_some_are_held_up() -> None:
    """5 ms and 2 ms more per 1,000 tokens; one prompt in five came 20 ms late."""
    lone = [
        (tokens, 0.005 + 2e-6 * tokens + 0.02 * (at % 5 == 0))
        for at, tokens in enumerate((16, 64, 256, 1024, 2048, 4096) * 5)
    ]
    found = burst_front.of_lone(lone)
    assert (found.latency_s, found.token_s) == pytest.approx((0.005, 2e-6))


def test_prompts_of_one_length_have_no_cost_per_token() -> None:
    """There is nothing to tell it by."""
    assert burst_front.of_lone([(64, 0.004), (64, 0.006)]) == Front(0.005)
