"""Intervals: they hold their level, move with the data, and say nothing about too little."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_replay import statistics

samples = st.lists(
    st.integers(-100_000, 100_000).map(lambda value: value / 1000), min_size=5, max_size=20
)


def test_the_interval_holds_its_level() -> None:
    """Over 300 draws of 10 normal and of 12 skewed values it covers the mean in 91 to 99 %."""
    generator = np.random.default_rng(7)
    draws = {
        "normal": (generator.normal(3.0, 1.0, (300, 10)), 3.0),
        "skewed": (generator.gamma(2.0, 1.0, (300, 12)), 2.0),
    }
    for values, mean in draws.values():
        found = [statistics.mean_interval(row.tolist()) for row in values]
        covered = np.mean([one is not None and one.low <= mean <= one.high for one in found])
        assert 0.91 <= covered <= 0.99


@given(samples, st.integers(-50, 50))
def test_the_interval_moves_with_the_data(values: list[float], shift: int) -> None:
    """Adding a number to every value adds it to the mean and to both ends."""
    one = statistics.mean_interval(values)
    two = statistics.mean_interval([value + shift for value in values])
    assert one is not None
    assert two is not None
    if one.low != one.high and two.low != two.high:
        assert two.low == pytest.approx(one.low + shift, abs=1e-6)
        assert two.high == pytest.approx(one.high + shift, abs=1e-6)


@given(samples)
def test_the_same_values_give_the_same_interval_around_their_mean(values: list[float]) -> None:
    """Seeded; the mean lies inside."""
    one, two = statistics.mean_interval(values), statistics.mean_interval(values)
    assert one == two
    assert one is not None
    assert one.low <= one.mean + 1e-9
    assert one.high >= one.mean - 1e-9


amounts = st.integers(0, 10**7).map(lambda value: value / 1000)


@given(st.lists(st.tuples(amounts, amounts), min_size=5, max_size=20))
def test_no_arm_takes_less_than_nothing(pairs: list[tuple[float, float]]) -> None:
    """Paired or not, the interval of a difference ends above -100 % of the baseline's mean."""
    before, after = [one for one, _ in pairs], [two for _, two in pairs]
    baseline = sum(before) / len(before)
    for interval in (statistics.paired_interval, statistics.unpaired_interval):
        found = interval(before, after)
        assert found is not None
        assert found.low >= -baseline * (1 + 1e-9)
        assert np.isfinite([found.low, found.high]).all()
        assert found.mean == pytest.approx(sum(after) / len(after) - baseline, abs=1e-6)


shares = st.integers(0, 1000).map(lambda value: value / 1000)


@given(st.lists(st.tuples(shares, shares), min_size=5, max_size=20))
def test_no_share_is_below_nothing_or_above_all(pairs: list[tuple[float, float]]) -> None:
    """The baseline's share and an end of the interval: in [0, 1] together, towards its side."""
    before, after = [one for one, _ in pairs], [two for _, two in pairs]
    baseline = sum(before) / len(before)
    found = statistics.share_interval(statistics.paired_interval, before, after)
    assert found is not None
    assert baseline + found.low >= -1e-9
    if found.mean >= 0:
        assert baseline + found.high <= 1 + 1e-9
    assert found.mean == pytest.approx(sum(after) / len(after) - baseline, abs=1e-9)


def test_a_saving_of_most_of_a_skewed_time_has_an_interval_inside_it() -> None:
    """Sessions of very different length that all save about nine tenths: -88 to -92 %.

    The interval of the mean difference would reach to -187 %, and beyond nothing.
    """
    generator = np.random.default_rng(0)
    before = np.exp(generator.normal(0, 1, 8))
    after = 0.1 * before * np.exp(generator.normal(0, 0.1, 8))
    found = statistics.paired_interval(before.tolist(), after.tolist())
    plain = statistics.mean_interval((after - before).tolist())
    assert found is not None
    assert plain is not None
    assert plain.low < -before.mean()
    assert -0.92 < found.low / before.mean() < found.high / before.mean() < -0.88


@pytest.mark.parametrize(("effect", "spread"), [(1.0, 0.1), (0.1, 0.3), (0.5, 0.1)])
def test_the_interval_of_a_ratio_holds_its_level(effect: float, spread: float) -> None:
    """Over 300 draws of 12 pairs of lognormal times it covers the effect in 90 to 99 %."""
    generator = np.random.default_rng(11)
    covered = 0
    for _ in range(300):
        before = np.exp(generator.normal(0, 0.5, 12))
        noise = generator.normal(-(spread**2) / 2, spread, 12)
        found = statistics.paired_interval(
            before.tolist(), (effect * before * np.exp(noise)).tolist()
        )
        assert found is not None
        low, high = found.low / before.mean() + 1, found.high / before.mean() + 1
        covered += low <= effect <= high
    assert 0.90 <= covered / 300 <= 0.99


def test_four_values_are_too_few() -> None:
    """Nothing is said about them."""
    assert statistics.mean_interval([1.0, 2.0, 3.0, 4.0]) is None
    assert statistics.minimum_detectable_effect([1.0, 2.0, 3.0, 4.0]) is None
    assert statistics.unpaired_interval([1.0] * 4, [1.0] * 9) is None


def test_the_minimum_detectable_effect_difference_is_detected_in_four_of_five_runs() -> None:
    """Differences of that size, 400 runs of 12 sessions: found in 72 to 88 %."""
    generator = np.random.default_rng(3)
    size = statistics.minimum_detectable_effect(generator.normal(0, 1, 4000).tolist())
    assert size is not None
    per_run = (2.201 + 0.876) / np.sqrt(12)  # Student's t for 11 degrees of freedom
    found = 0
    for _ in range(400):
        interval = statistics.mean_interval(generator.normal(per_run, 1.0, 12).tolist())
        found += interval is not None and interval.excludes_zero
    assert 0.72 <= found / 400 <= 0.88


@pytest.mark.parametrize(
    ("probability", "freedom", "value"),
    [(0.975, 4, 2.776), (0.975, 11, 2.201), (0.8, 11, 0.876), (0.975, 60, 2.000)],
)
def test_student_s_quantiles_are_those_of_the_tables(
    probability: float, freedom: int, value: float
) -> None:
    """Within half a percent from four degrees of freedom on."""
    assert statistics._student(probability, freedom) == pytest.approx(value, rel=0.005)


def test_nearly_equal_values_with_one_apart_give_a_finite_interval() -> None:
    """Resamples that miss the one apart have hardly any spread; they do not decide the interval."""
    found = statistics.mean_interval([0.0, 0.0, 0.0, 1e-9, -1.0])
    assert found is not None
    assert -3 < found.low < -0.2 < found.high < 3
