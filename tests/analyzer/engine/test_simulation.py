"""The simulation of an engine: against a slow re-telling, and by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.request import Request
from phasewise_analyzer.engine.simulation import simulate
from phasewise_analyzer.engine.vllm_scheduler import SchedulerConfig
from phasewise_store.errors import UsageError

from tests.analyzer.engine.made_up_times import MadeUpTimes
from tests.analyzer.engine.slow_engine import SlowEngine

TIMES = MadeUpTimes()


@st.composite
def traffic(draw: st.DrawFn) -> tuple[list[Request], SchedulerConfig, int]:
    """Draw requests that share prefixes, and an engine that is too small for all of them."""
    size = draw(st.sampled_from([1, 2, 4]))
    blocks = draw(st.integers(12, 60))
    requests = []
    for _ in range(draw(st.integers(1, 12))):
        inputs = draw(st.integers(1, 5 * size))
        outputs = draw(st.integers(1, 6 * size))
        family = draw(st.integers(0, 2))
        digests = tuple((family, at) for at in range(inputs // size))
        requests.append(Request(draw(st.integers(0, 400)) / 64, inputs, outputs, digests))
    config = SchedulerConfig(
        max_num_batched_tokens=draw(st.integers(3, 40)),
        max_num_seqs=draw(st.integers(1, 3)),
        block_size=size,
        enable_prefix_caching=draw(st.booleans()),
        async_scheduling=draw(st.booleans()),
    )
    return requests, config, blocks


@settings(max_examples=300, deadline=None)
@given(traffic())
def test_it_agrees_with_a_stepwise_engine(
    drawn: tuple[list[Request], SchedulerConfig, int],
) -> None:
    """Jumps change nothing: every time, cached token and preemption is that of single steps."""
    requests, config, blocks = drawn
    slow = SlowEngine(config, blocks)
    calls = slow.serve(requests, TIMES.step_s)
    found = simulate(requests, TIMES, config, blocks=blocks)
    assert [(one.first_s, one.last_s, one.cached_tokens) for one in found.served] == [
        (one.first, one.last, one.cached) for one in calls
    ]
    assert found.preemptions == slow.preemptions


def test_a_request_that_arrives_in_a_step_waits_for_the_next_planned_one() -> None:
    """With asynchronous scheduling the step after the running one is planned already."""
    requests = [Request(0.0, 1, 6, ()), Request(0.01, 8, 1, ())]
    late = simulate(requests, TIMES, SchedulerConfig(), blocks=None)
    soon = simulate(requests, TIMES, SchedulerConfig(async_scheduling=False), blocks=None)
    # a prefill of 1 token takes 19 units of 1/1024 s, the first decode (context 2) takes 21
    prefill, decode = 19, 21
    # planned: prefill, decode; at 19 the next step is planned with the newcomer
    assert late.served[1].first_s == (prefill + decode + 16 + 24 + 1 + 3 + 3) / 1024
    # planned: prefill; at 19 the next step is planned with the newcomer
    assert soon.served[1].first_s == (prefill + 16 + 24 + 1 + 2 + 2) / 1024


def test_a_long_prompt_is_read_in_chunks_beside_decodes() -> None:
    """A budget of 8 tokens gives a running sequence its token first, then 7 to the prompt."""
    config = SchedulerConfig(max_num_batched_tokens=8, async_scheduling=False)
    requests = [Request(0.0, 1, 20, ()), Request(0.001, 21, 1, ())]
    found = simulate(requests, TIMES, config, blocks=None)
    # a prefill of one token, then three steps of one decode and 7 prompt tokens
    steps = (16 + 3, 16 + 21 + 0 + 1 + 4, 16 + 21 + 7 + 1 + 6, 16 + 21 + 14 + 1 + 8)
    assert found.served[1].first_s == sum(steps) / 1024


def test_too_few_blocks_preempt_the_newest_sequence() -> None:
    """Two sequences outgrow four blocks of two tokens: the second loses its blocks and restarts."""
    config = SchedulerConfig(block_size=2, async_scheduling=False, enable_prefix_caching=False)
    requests = [Request(0.0, 2, 4, ()), Request(0.0, 2, 4, ())]
    found = simulate(requests, TIMES, config, blocks=4)
    assert found.preemptions == 1
    assert [one.preemptions for one in found.served] == [0, 1]
    assert found.served[0].last_s < found.served[1].last_s


def test_longer_outputs_add_no_events() -> None:
    """Ten times the output tokens take no more jumps, only more steps."""
    short = simulate([Request(0.0, 10, 100, ())], TIMES, SchedulerConfig(), blocks=None)
    long = simulate([Request(0.0, 10, 1000, ())], TIMES, SchedulerConfig(), blocks=None)
    assert (short.steps, long.steps) == (100, 1000)
    assert long.jumps == short.jumps


def test_a_request_larger_than_the_cache_is_refused() -> None:
    """Ten tokens and two more need three blocks of four; the engine has two."""
    with pytest.raises(UsageError, match="request 1 needs 3 KV blocks of 4 tokens"):
        simulate([Request(0.0, 10, 2, ())], TIMES, SchedulerConfig(block_size=4), blocks=2)
