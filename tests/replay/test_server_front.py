"""The front of a server from lone prompts, of which some are held up."""

import pytest
from phasewise_analyzer.engine.step_times.front import Front
from phasewise_replay.calibration import server_front


def test_the_latency_is_that_of_prompts_that_nothing_held_up() -> None:
    """5 ms and 2 ms more per 1,000 tokens; one prompt in five came 20 ms late."""
    lone = [
        (tokens, 0.005 + 2e-6 * tokens + 0.02 * (at % 5 == 0))
        for at, tokens in enumerate((16, 64, 256, 1024, 2048, 4096) * 5)
    ]
    found = server_front.front(lone, busy_s=0.003)
    assert (found.latency_s, found.busy_s) == pytest.approx((0.005, 0.003))
    assert found.token_s == pytest.approx(2e-6)


def test_prompts_of_one_length_have_no_cost_per_token() -> None:
    """And a front is never busy for longer than a request takes to pass it."""
    lone = [(64, 0.004), (64, 0.006)]
    assert server_front.front(lone, busy_s=0.009) == Front(0.005, 0.005)
