"""Engine time of calls: it sums to the time of the steps, by hand and in general."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.runs.attribution import idle_shares
from phasewise_analyzer.engine.runs.simulation import simulate
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig

from tests.analyzer.engine.made_up_times import MadeUpTimes
from tests.analyzer.engine.test_simulation import traffic

TIMES = MadeUpTimes()
FLOOR = 16 + 1 + 1 + 1
"""units of 1/1024 s of a decode with a context of one token"""


@settings(max_examples=150, deadline=None)
@given(traffic(), st.sampled_from([1, 2]))
def test_calls_sum_to_the_time_of_the_engine(
    drawn: tuple[list[Request], SchedulerConfig, int], ranks: int
) -> None:
    """Prefill, floor and marginal of all calls are the time in which steps ran, to 1e-9."""
    requests, config, blocks = drawn
    found = simulate(requests, TIMES, config, blocks=blocks, ranks=ranks)
    assert sum(one.busy_s for one in found.served) == pytest.approx(found.busy_s, rel=1e-9)
    assert sum(one.prefill_s for one in found.served) == pytest.approx(found.prefill_s, rel=1e-9)
    for one in found.served:
        assert min(one.prefill_s, one.floor_s, one.marginal_s) >= 0
        assert one.recompute_s <= one.prefill_s
        assert (one.recompute_s > 0) == (one.preemptions > 0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 60)), min_size=2, max_size=6),
    st.randoms(),
)
def test_the_order_of_calls_changes_nothing(drawn: list[tuple[int, int]], shuffled: object) -> None:
    """Calls that arrive together and run together cost the same in any order."""
    config = SchedulerConfig(max_num_batched_tokens=4096)
    order = list(range(len(drawn)))
    shuffled.shuffle(order)  # type: ignore[attr-defined]  # hypothesis types its Random as object
    requests = [Request(0.0, inputs, outputs, ()) for inputs, outputs in drawn]
    first = simulate(requests, TIMES, config, blocks=None)
    other = simulate([requests[at] for at in order], TIMES, config, blocks=None)
    for place, at in enumerate(order):
        assert other.served[place].prefill_s == pytest.approx(first.served[at].prefill_s)
        assert other.served[place].floor_s == pytest.approx(first.served[at].floor_s)
        assert other.served[place].marginal_s == pytest.approx(first.served[at].marginal_s)


def test_a_run_of_decodes_is_shared_as_its_steps_are() -> None:
    """Two sequences with contexts of 11 and 31 tokens: 20 steps, each shared by hand."""
    requests = [Request(0.0, 10, 21, ()), Request(0.0, 30, 21, ())]
    found = simulate(requests, TIMES, SchedulerConfig(), blocks=None)
    # a sequence costs 1 + its context; a token of context 1 + 1 (it is the longest, too)
    constant = (16 + 2 + 2 + 1 - FLOOR) / 2
    floor = marginal = 0.0
    for step in range(20):
        contexts = (11 + step, 31 + step)
        rest = 16 + 2 + sum(contexts) + contexts[1] - FLOOR
        floor += FLOOR / 2
        marginal += rest * (constant + contexts[0]) / (2 * constant + sum(contexts))
    assert found.served[0].floor_s == pytest.approx(floor / 1024)
    assert found.served[0].marginal_s == pytest.approx(marginal / 1024)


def test_a_lone_call_has_all_of_its_steps() -> None:
    """Nothing is shared: its busy time is its latency."""
    found = simulate([Request(0.0, 30, 40, ())], TIMES, SchedulerConfig(), blocks=None)
    (served,) = found.served
    assert served.busy_s == pytest.approx(served.latency_s)
    assert served.prefill_s == pytest.approx((16 + 90) / 1024)


def test_idle_time_is_paid_in_proportion_to_busy_time() -> None:
    """Six idle seconds over calls of one and two busy ones."""
    assert idle_shares([1.0, 2.0], 9.0) == pytest.approx([2.0, 4.0])
