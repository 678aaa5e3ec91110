"""Logged steps: on the engine's clock they are what it ran, and their time is shared whole."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.runs import shared_steps
from phasewise_analyzer.engine.runs.logged_steps import EndedCall, LoggedStep, place
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk

from tests.analyzer.engine import logged_runs
from tests.analyzer.engine.logged_runs import LoggedRun
from tests.analyzer.engine.made_up_times import MadeUpTimes


@st.composite
def runs(draw: st.DrawFn, *, blocks: int | None = None) -> LoggedRun:
    """Draw calls with shared prefixes, in steps with a small budget, and a log that is late."""
    size, requests = 4, []
    for _ in range(draw(st.integers(1, 12))):
        inputs, outputs = draw(st.integers(1, 30)), draw(st.integers(1, 12))
        family = draw(st.integers(0, 2))
        digests = tuple((family, at) for at in range(inputs // size))
        requests.append(Request(draw(st.integers(0, 600)) / 64, inputs, outputs, digests))
    config = SchedulerConfig(
        max_num_batched_tokens=draw(st.integers(8, 40)), block_size=size, async_scheduling=False
    )
    late = draw(st.lists(st.sampled_from([0.0, 1e-4, 3e-3]), min_size=1, max_size=5))
    return logged_runs.run(requests, MadeUpTimes(), config, late_s=late, blocks=blocks)


def in_order(batch: Batch) -> Batch:
    """Return the batch with its chunks in an order that does not depend on who is first."""
    return replace(batch, chunks=tuple(sorted(batch.chunks, key=lambda one: (one.new, one.cached))))


@settings(max_examples=60, deadline=None)
@given(runs())
def test_steps_are_those_that_the_engine_ran(run: LoggedRun) -> None:
    """Every batch is exact, and so is the time of every step that brought tokens.

    A step that only read parts of prompts has no time of its own in the log: those before a first
    token are exact together.
    """
    found = place(run.log).steps
    assert [in_order(one.batch) for one in found] == [in_order(one) for _, _, one in run.steps]
    silent_s = true_silent_s = 0.0
    for one, (begin, end, _), logged in zip(found, run.steps, run.log, strict=True):
        silent_s, true_silent_s = silent_s + one.seconds, true_silent_s + end - begin
        if logged.emits:
            # the lag of the log between two stretches may be taken for idle time
            assert silent_s == pytest.approx(true_silent_s, abs=3.1e-3)
            if logged.gap_s is not None:
                assert silent_s == pytest.approx(true_silent_s, abs=1e-9)
            silent_s = true_silent_s = 0.0


@settings(max_examples=30, deadline=None)
@given(runs(), runs())
def test_calls_sum_to_the_time_of_the_steps(one: LoggedRun, other: LoggedRun) -> None:
    """Over two engines: prefill and decode of all calls are the steps' time, to 1e-9."""
    placed = [place(one.log), place(other.log)]
    other_names = replace(
        placed[1],
        calls=tuple(replace(call, call_id=f"b-{call.call_id}") for call in placed[1].calls),
    )
    found = shared_steps.share([placed[0], other_names])
    whole_s = sum(step.seconds for engine in placed for step in engine.steps)
    assert sum(sum(parts) for parts in found.calls.values()) == pytest.approx(whole_s, rel=1e-9)
    assert found.prefill_s + found.decode_s == pytest.approx(whole_s, rel=1e-9)
    assert sum(prefill for prefill, _ in found.calls.values()) == pytest.approx(found.prefill_s)
    low_s, high_s = found.prefill_band_s
    assert low_s <= found.prefill_s * (1 + 1e-9)
    assert found.prefill_s <= high_s * (1 + 1e-9)
    assert found.unknown == 0
    assert min(min(parts) for parts in found.calls.values()) >= 0


@settings(max_examples=30, deadline=None)
@given(runs(blocks=12))
def test_a_preempted_call_is_computed_again(run: LoggedRun) -> None:
    """Prompts and outputs that are computed twice are prefill; nothing of the time is lost."""
    placed = place(run.log)
    found = shared_steps.share([placed])
    whole_s = sum(step.seconds for step in placed.steps if step.known)
    assert sum(sum(parts) for parts in found.calls.values()) == pytest.approx(whole_s, rel=1e-9)
    again = sum(one.decode_tokens - one.decode_requests for one in run.log)
    if again > 0:
        assert any(step.recomputing for step in placed.steps)


def step(at_s: float, **values: object) -> LoggedStep:
    """Make a logged step."""
    made = LoggedStep(at_s, 0, 0, 0, 0, 0, None)
    return replace(made, **values)  # type: ignore[arg-type]  # fields of LoggedStep


def test_a_mixed_step_is_shared_as_its_parts_would_take_alone() -> None:
    """By hand: a step takes 6 ms, and 24 for a prompt of 300 tokens, and 4 for a decode."""
    one = EndedCall("one", 300, 0, 4, prefill_s=0.030, decode_s=0.058)
    two = EndedCall("two", 300, 0, 2, prefill_s=0.034, decode_s=0.014)
    decodes = {"decode_requests": 1, "decode_tokens": 1, "more_tokens": 1}
    log = [
        step(10.030, prefill_tokens=300, first_tokens=1),
        step(10.064, prefill_tokens=300, first_tokens=1, gap_s=0.034, **decodes),
        step(10.078, decode_requests=2, decode_tokens=2, more_tokens=2, gap_s=0.014, ended=(two,)),
        step(10.088, gap_s=0.010, ended=(one,), **decodes),
    ]
    placed = place(log)
    assert [round(one.seconds, 6) for one in placed.steps] == [0.030, 0.034, 0.014, 0.010]
    assert placed.steps[1].batch == Batch((Chunk(300, 0),), decodes=1, context=301, longest=301)
    found = shared_steps.share([placed])
    assert (found.steps, found.mixed) == (4, 1)
    # alone, the parts of the mixed step would take 30 ms and 10 ms
    assert found.calls["two"] == pytest.approx((0.034 * 3 / 4, 0.007), rel=1e-3)
    assert found.calls["one"] == pytest.approx((0.030, 0.034 / 4 + 0.007 + 0.010), rel=1e-3)
    assert found.prefill_band_s == pytest.approx((0.030 + 0.024, 0.030 + 0.030), rel=1e-3)


def test_a_call_that_did_not_end_leaves_its_steps_unknown() -> None:
    """Nobody's steps are counted, so that a run can say that it does not know."""
    found = shared_steps.share([place([step(1.0, prefill_tokens=8, first_tokens=1)])])
    assert (found.steps, found.unknown, found.calls) == (0, 1, {})
