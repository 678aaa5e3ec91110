"""Speculation in the simulated engine: against a stepwise engine, and by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.deployments.deployment import deploy
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.runs.simulation import simulate
from phasewise_analyzer.engine.schedulers.drafts import Drafts
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.shapes import model_config
from phasewise_analyzer.engine.speculation.config import NgramConfig, SuffixConfig
from phasewise_analyzer.engine.speculation.drafting_time import (
    NGRAM_TOKEN_S,
    STEP_S,
    SUFFIX_PROMPT_TOKEN_S,
    SUFFIX_SEQUENCE_S,
    WithDrafting,
)
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_store.errors import UsageError

from tests.analyzer.engine.made_up_times import MadeUpTimes
from tests.analyzer.engine.measured_runs import folder
from tests.analyzer.engine.slow_engine import SlowEngine, serve

TIMES = MadeUpTimes()
UNIT_S = 1 / 1024


def drafts(drafted: list[int], accepted: list[int]) -> Drafts:
    """Make the drafts of a call."""
    return Drafts(np.array(drafted, dtype=np.int64), np.array(accepted, dtype=np.int64))


@st.composite
def speculation(draw: st.DrawFn, output_tokens: int) -> Drafts | None:
    """Draw what a drafter proposes, mostly nothing, and what of it is accepted."""
    if draw(st.booleans()):
        return None
    drafted, accepted = [0], [0]
    for known in range(1, output_tokens):
        drafted.append(draw(st.sampled_from([0, 0, 0, 1, 3])))
        accepted.append(draw(st.integers(0, min(drafted[-1], output_tokens - known))))
    return drafts(drafted, accepted)


@st.composite
def traffic(draw: st.DrawFn) -> tuple[list[Request], SchedulerConfig, int]:
    """Draw requests that share prefixes, and an engine that is too small for all of them."""
    size = draw(st.sampled_from([1, 2, 4]))
    requests = []
    for _ in range(draw(st.integers(1, 8))):
        inputs = draw(st.integers(1, 4 * size))
        outputs = draw(st.integers(1, 6 * size))
        digests = tuple((draw(st.integers(0, 2)), at) for at in range(inputs // size))
        arrival_s = draw(st.integers(0, 400)) / 64
        found = draw(speculation(outputs))
        requests.append(Request(arrival_s, inputs, outputs, digests, drafts=found))
    config = SchedulerConfig(
        max_num_batched_tokens=draw(st.integers(3, 40)),
        max_num_seqs=draw(st.integers(1, 3)),
        block_size=size,
        enable_prefix_caching=draw(st.booleans()),
        async_scheduling=False,
    )
    return requests, config, draw(st.integers(15, 60))


@settings(max_examples=200, deadline=None)
@given(traffic(), st.sampled_from([1, 1, 2]))
def test_it_agrees_with_a_stepwise_engine(
    drawn: tuple[list[Request], SchedulerConfig, int], ranks: int
) -> None:
    """Jumps end before a draft, and calls sum to the time of the engine.

    Every time, cached token and preemption is that of single steps, where the budget cuts drafts
    short, blocks run out, and other calls draft nothing.
    """
    requests, config, blocks = drawn
    slow = [SlowEngine(config, blocks) for _ in range(ranks)]
    calls = serve(slow, requests, TIMES.step_s)
    found = simulate(requests, TIMES, config, blocks=blocks, ranks=ranks)
    assert [(one.first_s, one.last_s, one.cached_tokens) for one in found.served] == [
        (one.first, one.last, one.cached) for one in calls
    ]
    assert found.preemptions == sum(one.preemptions for one in slow)
    assert sum(one.busy_s for one in found.served) == pytest.approx(found.busy_s, rel=1e-9)
    for one in found.served:
        assert 0 <= one.rejected_s <= one.marginal_s + 1e-12
        assert (one.rejected_s > 0) == (one.accepted_tokens < one.drafted_tokens)


def test_a_step_emits_accepted_tokens_and_one_more() -> None:
    """Six tokens in three steps: the prompt's, two accepted and one, and one that ends the draft.

    The last draft of two reaches beyond the end: one is accepted there, and is the last token.
    """
    config = SchedulerConfig(async_scheduling=False)
    said = drafts([0, 3, 0, 0, 1, 2], [0, 2, 0, 0, 0, 1])
    found = simulate([Request(0.0, 10, 6, (), drafts=said)], TIMES, config, blocks=None)
    (served,) = found.served
    prefill = 16 + 30
    # a step costs 16, twice its drafts, its sequences and the context, drafts included, twice
    steps = [16 + 6 + 1 + 14 + 14, 16 + 2 + 1 + 15 + 15, 16 + 4 + 1 + 17 + 17]
    assert found.steps == 4
    assert served.last_s == (prefill + sum(steps)) * UNIT_S
    assert (served.drafted_tokens, served.accepted_tokens) == (6, 3)


def test_rejected_drafts_are_a_line_of_their_own() -> None:
    """What three drafts add to a step is shared among them; one was rejected."""
    config = SchedulerConfig(async_scheduling=False)
    said = drafts([0, 3, 0, 0], [0, 2, 0, 0])
    (served,) = simulate([Request(0.0, 10, 4, (), drafts=said)], TIMES, config, blocks=None).served
    # with drafts 16 + 6 + 1 + 14 + 14 units, without 16 + 1 + 11 + 14: the longest stays
    assert served.rejected_s == pytest.approx((51 - 42) / 3 * UNIT_S)
    assert served.busy_s == pytest.approx(served.latency_s)


def test_steps_without_drafts_are_jumped_over() -> None:
    """A thousand tokens with one draft in the middle take two jumps and a few steps."""
    config = SchedulerConfig(async_scheduling=False)
    drafted = [0] * 1000
    accepted = [0] * 1000
    drafted[500], accepted[500] = 4, 3
    said = drafts(drafted, accepted)
    found = simulate([Request(0.0, 10, 1000, (), drafts=said)], TIMES, config, blocks=None)
    assert (found.steps, found.jumps) == (997, 2)


NGRAM = '{"method": "ngram", "num_speculative_tokens": 4}'


@given(st.integers(1, 300), st.integers(1, 4), st.integers(1, 30_000))
def test_a_draft_costs_less_than_another_sequence(count: int, drafts: int, context: int) -> None:
    """Weights and contexts are read once, so drafts are cheap until a step is bound by compute."""
    times = deploy(model_config.find("llama-3.1-8b"), gpus.find("h100-sxm"), {}).times
    more = count * drafts
    plain = Batch(decodes=count, context=count * context, longest=context)
    drafted = Batch(decodes=count, context=count * context, longest=context, drafts=more)
    others = Batch(decodes=count + more, context=(count + more) * context, longest=context)
    assert times.step_s(plain) <= times.step_s(drafted) < times.step_s(others)
    assert drafted.tokens == others.tokens


def test_drafting_takes_the_host_s_time() -> None:
    """An n-gram proposer reads every context in every step; a suffix tree is built per prompt."""
    decode = Batch(decodes=2, context=3000, longest=2000)
    ends = Batch((Chunk(100, 900),), completed=1000)
    exposed = WithDrafting(TIMES, NgramConfig(4))
    assert exposed.step_s(decode) == pytest.approx(
        TIMES.step_s(decode) + STEP_S + 3000 * NGRAM_TOKEN_S
    )
    ngram = WithDrafting(TIMES, NgramConfig(4), exposed_s=0)
    suffix = WithDrafting(TIMES, SuffixConfig(24), exposed_s=0)
    assert ngram.step_s(decode) - TIMES.step_s(decode) == pytest.approx(3000 * NGRAM_TOKEN_S)
    assert ngram.step_s(ends) - TIMES.step_s(ends) == pytest.approx(1000 * NGRAM_TOKEN_S)
    assert suffix.step_s(decode) - TIMES.step_s(decode) == pytest.approx(2 * SUFFIX_SEQUENCE_S)
    assert suffix.step_s(ends) - TIMES.step_s(ends) == pytest.approx(1000 * SUFFIX_PROMPT_TOKEN_S)
    for times in (ngram, suffix):
        later = Batch(decodes=2, context=3000 + 2 * 7, longest=2000 + 7)
        assert times.decode_run_s(decode, 8)[7] == pytest.approx(times.step_s(later))


def test_vllm_schedules_nothing_ahead_beside_drafts() -> None:
    """The flag turns asynchronous scheduling off; asked for together they are refused."""
    shape, gpu = model_config.find("llama-3.1-8b"), gpus.find("h100-sxm")
    engine = deploy(shape, gpu, {"speculative-config": NGRAM})
    assert engine.speculation == NgramConfig(4)
    assert engine.config.planned_steps == 1
    with pytest.raises(UsageError, match="leave out `async-scheduling`"):
        deploy(shape, gpu, {"speculative-config": NGRAM, "async-scheduling": "true"})


@pytest.mark.parametrize("gpu", ["RTXPRO6000", "RTX4090"])
def test_drafts_cost_about_what_measured_kernels_say(gpu: str) -> None:
    """What up to four drafts per sequence add to a step, as a share of it, within 13 points."""
    tables = folder("llmservingsim") / "kernels" / gpu / "meta-llama" / "Llama-3.1-8B" / "bf16"
    shape, found = model_config.find("llama-3.1-8b"), gpus.find(gpu)
    measured = deploy(shape, found, {}, kernels=tables).times
    roofline = deploy(shape, found, {}).times
    for count in (1, 8, 32, 64):
        for each in (1, 2, 4):
            plain = Batch(decodes=count, context=count * 2000, longest=2000)
            drafted = replace(plain, drafts=count * each)
            added = [times.step_s(drafted) / times.step_s(plain) for times in (measured, roofline)]
            assert added[1] == pytest.approx(added[0], abs=0.13)
