"""The table of lone steps: which calls count, what their medians are, and the prior beside them."""

from dataclasses import replace

import pytest
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_replay.gpu import lone_steps, step_table
from phasewise_replay.gpu.lone_steps import Designed, Steps
from phasewise_replay.verdicts import prior

from tests.replay.test_engine_time import MS, RECORD, call, frame


def test_every_designed_session_is_recognised_by_its_name() -> None:
    """The calls that only cache contexts are not steps, nor are recorded sessions."""
    steps = Steps(prefill=(512,), cached=((256, 64),), decode=(128,))
    batches = Steps(mixed=((2048, 8192),), batch=2)
    found = [
        lone_steps.designed(session.session_id, step.step)
        for one in (steps, batches)
        for session in lone_steps.sessions(one)
        for step in session.steps
    ]
    assert found == [
        Designed("prefill", 512, 0, 0),
        None,
        Designed("prefill", 64, 256, 0),
        None,
        Designed("decode", 0, 128, 1),
        None,
        None,
        None,
        None,
        Designed("mixed", 8192, 2048, 2),
    ]
    assert lone_steps.designed("s0", 0) is None


def test_a_row_has_the_median_its_range_and_the_roofline_of_the_same_step() -> None:
    """Three prefills of 512 tokens after 1,024, and a decode of two sequences of 11 tokens each."""
    name = "prefill 512 after 1024 #0"
    prefills = [
        replace(call(name, block, 0), step=1, prefill_ns=ms * MS, cached_tokens=1024)
        for block, ms in enumerate((7, 5, 6))
    ]
    decodes = [
        replace(
            call(f"decode 4096 batch 2 #{at}", 0, 0), decode_ns=(40 + at) * MS, cached_tokens=4080
        )
        for at in range(2)
    ]
    cold = call(name, 0, 0)
    one, two = step_table.of_arm("a", RECORD, frame(cold, *prefills, *decodes), {})
    assert (one.kind, one.new_tokens, one.cached_tokens, one.samples) == ("prefill", 512, 1024, 3)
    assert (one.measured_s, one.low_s, one.high_s) == pytest.approx((0.006, 0.005, 0.007))
    assert one.as_designed
    engine = prior.of_arm(RECORD, {})
    assert engine is not None
    assert one.prior_s == engine.times.step_s(Batch((Chunk(512, 1024),)))
    assert (two.kind, two.batch, two.context_tokens) == ("decode", 2, 4096)
    assert two.measured_s == pytest.approx(0.00405)
    first = Batch(decodes=2, context=2 * 4097, longest=4097)
    assert two.prior_s == pytest.approx(engine.times.decode_run_s(first, 10).mean())


def test_contexts_that_were_not_cached_are_said() -> None:
    """The engine then computed more than the name says."""
    late = replace(call("decode 4096 batch 2 #0", 0, 0), cached_tokens=1024)
    (row,) = step_table.of_arm("a", RECORD, frame(late), {})
    assert not row.as_designed


def test_a_long_prefill_s_prior_is_that_of_all_its_chunks() -> None:
    """16,384 tokens in steps of 8,192; no GPU, no prior."""
    long = call("prefill 16384 #0", 0, 0)
    (row,) = step_table.of_arm("a", RECORD, frame(long), {})
    engine = prior.of_arm(RECORD, {})
    assert engine is not None
    steps = [engine.times.step_s(Batch((Chunk(8192, done),))) for done in (0, 8192)]
    assert row.prior_s == pytest.approx(sum(steps))
    (unknown,) = step_table.of_arm("a", replace(RECORD, machine={}), frame(long), {})
    assert unknown.prior_s is None
