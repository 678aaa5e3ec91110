"""The simulation of an engine: against a slow re-telling, and by hand."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.runs.phase_share import prefill_share
from phasewise_analyzer.engine.runs.simulation import simulate
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_store.errors import UsageError

from tests.analyzer.engine.made_up_times import MadeUpTimes
from tests.analyzer.engine.slow_engine import SlowEngine, serve

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
@given(traffic(), st.sampled_from([1, 1, 2, 3]))
def test_it_agrees_with_a_stepwise_engine(
    drawn: tuple[list[Request], SchedulerConfig, int], ranks: int
) -> None:
    """Jumps change nothing: every time, cached token and preemption is that of single steps.

    This holds for one engine and for data-parallel ranks that run their steps together.
    """
    requests, config, blocks = drawn
    slow = [SlowEngine(config, blocks) for _ in range(ranks)]
    calls = serve(slow, requests, TIMES.step_s)
    found = simulate(requests, TIMES, config, blocks=blocks, ranks=ranks)
    assert [(one.first_s, one.last_s, one.cached_tokens) for one in found.served] == [
        (one.first, one.last, one.cached) for one in calls
    ]
    assert found.preemptions == sum(one.preemptions for one in slow)


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


def test_prompts_of_one_step_share_their_start() -> None:
    """Of two that arrive together the second finds the full blocks that the first will fill."""
    config = SchedulerConfig(block_size=4)
    requests = [Request(0.0, 9, 1, ("a", "b")), Request(0.0, 9, 1, ("a", "b"))]
    found = simulate(requests, TIMES, config, blocks=8)
    assert [one.cached_tokens for one in found.served] == [0, 8]
    assert found.steps == 1


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


def test_data_parallel_ranks_step_together() -> None:
    """Two requests on two ranks take one step each; both wait for the slower one."""
    requests = [Request(0.0, 8, 1, ()), Request(0.0, 2, 1, ())]
    found = simulate(requests, TIMES, SchedulerConfig(), blocks=None, ranks=2)
    # 8 tokens of its own at 3 units each, and the 2 of the other rank
    assert [one.first_s for one in found.served] == [(16 + 24 + 2) / 1024] * 2
    assert found.busy_s == 2 * found.served[0].first_s


def test_a_request_on_an_idle_rank_joins_the_next_planned_step() -> None:
    """A rank without work steps along, so a newcomer waits for the two steps planned before it."""
    requests = [Request(0.0, 1, 6, ()), Request(0.01, 8, 1, ())]
    found = simulate(requests, TIMES, SchedulerConfig(), blocks=None, ranks=2)
    # prefill of 1 token, decode of context 2; then 8 prompt tokens beside the other rank's decode
    assert found.served[1].first_s == (19 + 21 + 16 + 24 + 1) / 1024


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


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500)), max_size=5),
    st.integers(0, 20),
    st.randoms(),
)
def test_a_step_is_shared_between_its_phases(
    chunks: list[tuple[int, int]], decodes: int, shuffled: Random
) -> None:
    """A share lies in [0, 1], is 0 or 1 for one phase alone, and knows no order of calls."""
    parts = [Chunk(*one) for one in chunks]
    if not parts and not decodes:
        return
    share = prefill_share(Batch(tuple(parts), decodes, decodes * 9, 9), TIMES)
    assert (share == 1) == (not decodes)
    assert (share == 0) == (not parts)
    assert 0 <= share <= 1
    shuffled.shuffle(parts)
    assert share == prefill_share(Batch(tuple(parts), decodes, decodes * 9, 9), TIMES)


def test_a_mixed_step_is_shared_by_the_times_of_its_parts_alone() -> None:
    """A chunk of 8 tokens alone takes 40 units, a decode of context 10 alone 37: 40 / 77."""
    assert prefill_share(Batch((Chunk(8, 0),), 1, 10, 10), TIMES) == 40 / 77


@settings(max_examples=50, deadline=None)
@given(traffic())
def test_engine_time_is_prefill_and_decode(
    drawn: tuple[list[Request], SchedulerConfig, int],
) -> None:
    """Prefill lies between nothing and the time in which steps ran, which is at most the wall."""
    requests, config, blocks = drawn
    found = simulate(requests, TIMES, config, blocks=blocks)
    assert 0 < found.prefill_s <= found.busy_s * (1 + 1e-9)
    assert found.busy_s <= max(one.last_s for one in found.served) + 1e-9
