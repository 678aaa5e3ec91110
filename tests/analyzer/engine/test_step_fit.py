"""Fits of step times: exact on steps of their own form, close on measured kernels, and refused."""

import itertools
import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.shapes import formats, model_config
from phasewise_analyzer.engine.step_times import nonnegative, step_fit
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk, StepTimes
from phasewise_analyzer.engine.step_times.fitted_steps import FittedSteps, StepKind, kind_of, terms
from phasewise_analyzer.engine.step_times.kernel_tables import KernelTables
from phasewise_analyzer.engine.step_times.roofline import Roofline
from phasewise_analyzer.engine.step_times.step_fit import Hardware, ImpossibleFitError, MeasuredStep
from phasewise_store.errors import UsageError

from tests.analyzer.engine.measured_runs import folder

LLAMA = model_config.known("llama-3.1-8b")
BF16, CACHE = formats.weights("bf16"), formats.cache("bf16")
H100 = gpus.find("h100")
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def designed() -> list[Batch]:
    """Give steps of all three kinds on a grid."""
    prompts = [
        Chunk(new, cached) for new in (64, 128, 256, 512, 1024, 2048) for cached in (0, 4096)
    ]
    decodes = [
        Batch(decodes=count, context=count * context, longest=context)
        for count in (1, 4, 16, 64, 128)
        for context in (256, 1024, 4096)
    ]
    mixed = [
        Batch((Chunk(new, cached),), count, count * context, context)
        for new, cached, count, context in itertools.product(
            (128, 512, 1024), (0, 4096), (4, 32, 128), (512, 2048)
        )
    ]
    return [Batch((chunk,)) for chunk in prompts] + decodes + mixed


def measured(times: StepTimes) -> list[MeasuredStep]:
    """Time the designed steps, in an order that spreads each axis over all folds."""
    steps = designed()
    random.Random(1).shuffle(steps)
    return [MeasuredStep(batch, times.step_s(batch)) for batch in steps]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(0, 10), min_size=3, max_size=3),
    st.lists(
        st.lists(st.floats(0.1, 10), min_size=3, max_size=3), min_size=6, max_size=12, unique_by=str
    ),
)
def test_non_negative_coefficients_are_found_again(
    wanted: list[float], rows: list[list[float]]
) -> None:
    """Values made of non-negative coefficients leave no residual."""
    matrix = np.array(rows)
    values = matrix @ np.array(wanted)
    found = nonnegative.solve(matrix, values)
    assert (found >= 0).all()
    assert np.linalg.norm(matrix @ found - values) <= 1e-6 * (1 + np.linalg.norm(values))


def test_a_coefficient_that_would_be_negative_is_zero() -> None:
    """Values that fall where the term grows give a coefficient of 0, and the mean as constant."""
    matrix = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    found = nonnegative.solve(matrix, np.array([3.0, 2.0, 1.0]))
    assert found == pytest.approx([2.0, 0.0])


@pytest.mark.parametrize("gpu", ["RTXPRO6000", "RTX4090"])
def test_a_fit_of_measured_kernels_is_close_on_steps_it_has_not_seen(gpu: str) -> None:
    """Mean held-out error on two GPUs: decode within 2 %, prefill within 5 %, mixed within 10 %."""
    kernels = folder("llmservingsim") / "kernels" / gpu / "meta-llama" / "Llama-3.1-8B"
    times = KernelTables(kernels / "bf16" / "tp1", LLAMA)
    hardware = Hardware(LLAMA, gpus.find(gpu), BF16, CACHE)
    fitted = step_fit.fit(measured(times), source="kernels", made_at=NOW, hardware=hardware)
    bounds: dict[StepKind, float] = {"decode": 0.02, "prefill": 0.05, "mixed": 0.10}
    for kind, bound in bounds.items():
        assert fitted.fits[kind].error <= bound, kind
    assert 0.5 < step_fit.implied_mfu(fitted, hardware) < 1
    assert 0.5 < step_fit.implied_mbu(fitted, hardware) < 1


def test_steps_that_were_held_up_do_not_make_the_fit_too_fast() -> None:
    """Times that scatter by 30 % around a line, some far above it: the fit is their mean."""
    drawn = np.random.default_rng(5)
    rows = np.column_stack((np.ones(4000), drawn.uniform(1, 10, 4000)))
    seconds = rows @ np.array([2.0, 1.0]) * drawn.gamma(1 / 0.09, 0.09, 4000)
    found = step_fit.relative(rows, seconds, np.ones(4000))
    assert (rows @ found).sum() == pytest.approx(seconds.sum(), rel=0.005)


def test_a_mean_of_many_steps_counts_as_many() -> None:
    """Three steps of 1 s and their mean three times give the same as one row of three."""
    rows = np.array([[1.0], [1.0], [1.0], [1.0]])
    apart = step_fit.relative(rows, np.array([1.0, 1.0, 1.0, 3.0]), np.ones(4))
    together = step_fit.relative(rows[:2], np.array([1.0, 3.0]), np.array([3.0, 1.0]))
    assert apart == pytest.approx(together)
    assert together == pytest.approx([1.5])


def test_steps_faster_than_the_gpu_can_are_refused() -> None:
    """Prompts timed at half of what the peak allows imply an MFU above 1."""
    prior = Roofline(H100, LLAMA, BF16, CACHE)
    steps = [MeasuredStep(one.batch, one.seconds / 2) for one in measured(prior)]
    with pytest.raises(ImpossibleFitError, match=r"implies an MFU of prefill .* of 1\.\d\d"):
        step_fit.fit(steps, source="x", made_at=NOW, hardware=Hardware(LLAMA, H100, BF16, CACHE))


def test_contexts_that_cost_nothing_are_refused() -> None:
    """Decodes of one context only leave the bandwidth of the KV cache without a bound."""
    prior = Roofline(H100, LLAMA, BF16, CACHE)
    steps = [one for one in measured(prior) if kind_of(one.batch) != "decode"]
    for count in range(1, 20):
        steps.append(MeasuredStep(Batch(decodes=count, context=count, longest=1), 0.01))
    with pytest.raises(ImpossibleFitError, match=r"KV cache of no bound"):
        step_fit.fit(steps, source="x", made_at=NOW, hardware=Hardware(LLAMA, H100, BF16, CACHE))


def test_too_few_steps_of_a_kind_are_named() -> None:
    """Mixed steps have 7 coefficients, and five folds need as many steps more."""
    steps = measured(Roofline(H100, LLAMA, BF16, CACHE))
    few = [one for one in steps if kind_of(one.batch) != "mixed"]
    with pytest.raises(UsageError, match="0 mixed steps were measured; their fit"):
        step_fit.fit(few, source="x", made_at=NOW)


def test_a_run_of_decodes_is_its_steps_one_by_one() -> None:
    """`decode_run_s` gives what `step_s` gives for each of the steps."""
    fitted = step_fit.fit(measured(Roofline(H100, LLAMA, BF16, CACHE)), source="x", made_at=NOW)
    run = fitted.decode_run_s(Batch(decodes=3, context=300, longest=150), 5)
    steps = [
        fitted.step_s(Batch(decodes=3, context=300 + 3 * later, longest=150 + later))
        for later in range(5)
    ]
    assert run == pytest.approx(steps, rel=1e-12)


def test_the_error_and_the_age_stand_beside_the_source() -> None:
    """A fit of ten days ago says so, with the held-out error of each kind."""
    fitted = step_fit.fit(measured(Roofline(H100, LLAMA, BF16, CACHE)), source="x", made_at=NOW)
    old = FittedSteps(fitted.fits, "vllm 0.19", datetime.now(UTC) - timedelta(days=10))
    assert old.basis.kind == "fit"
    assert old.basis.source.startswith("vllm 0.19, measured 10 days ago (prefill ±")
    assert old.basis.error == pytest.approx(
        sum(fit.error * fit.steps for fit in fitted.fits.values())
        / sum(fit.steps for fit in fitted.fits.values())
    )


@given(st.permutations(list(range(4))))
def test_the_order_of_chunks_changes_no_term(order: list[int]) -> None:
    """Terms are sums over the chunks of a step."""
    chunks = [Chunk(10 * at + 1, 7 * at) for at in range(4)]
    shuffled = tuple(chunks[at] for at in order)
    assert terms(Batch(shuffled, 2, 30, 20)) == terms(Batch(tuple(chunks), 2, 30, 20))
