"""Intervals: they hold their level, move with the data, and say nothing about too little."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_replay.verdicts import statistics

Floats = npt.NDArray[np.float64]

samples = st.lists(
    st.integers(-100_000, 100_000).map(lambda value: value / 1000), min_size=6, max_size=20
)


RUNS, SESSIONS = 500, 8
LOG_NORMAL_MEAN = float(np.exp(0.5))


def drawn(name: str, generator: np.random.Generator) -> tuple[Floats, Floats, float]:
    """Return both halves of many runs, and the true difference of their means."""
    size = (RUNS, SESSIONS)
    normal, skewed = generator.normal(0, 1, size), generator.lognormal(0, 1, size)
    tailed, steady = generator.standard_t(3, size), generator.uniform(8, 12, size)
    match name:
        case "normal":
            return np.full(size, 1000.0), 997 + normal, -3.0
        case "log-normal":
            return np.full(size, 1000.0), 1000 - skewed, -LOG_NORMAL_MEAN
        case "t(3)":
            return np.full(size, 1000.0), 997 + tailed, -3.0
        case "log-normal savings":
            return steady + skewed, steady, -LOG_NORMAL_MEAN / (10 + LOG_NORMAL_MEAN)
        case "log-normal savings of nearly all":
            return steady / 10 + skewed, steady / 10, -LOG_NORMAL_MEAN / (1 + LOG_NORMAL_MEAN)
        case _:  # log-normal ratios
            return np.full(size, 1000.0), 800 * np.exp(normal - 0.5), -200.0


@pytest.mark.parametrize(
    "name",
    [
        *("normal", "log-normal", "t(3)", "log-normal savings"),
        *("log-normal savings of nearly all", "log-normal ratios"),
    ],
)
def test_the_interval_misses_at_most_seven_in_a_hundred(name: str) -> None:
    """At eight sessions, spreads of 1 on the log scale; never outside what is possible."""
    before, after, truth = drawn(name, np.random.default_rng(7))
    missed = 0
    for one, two in zip(before, after, strict=True):
        found = statistics.paired_interval(one.tolist(), two.tolist())
        assert found is not None
        # where the baseline varies, the interval is that of the ratio, at the baseline's mean
        true = truth if np.ptp(one) == 0 else truth * float(one.mean())
        missed += not found.low <= true <= found.high
        assert found.low > -one.mean()
    assert missed / RUNS <= 0.07


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


@given(st.lists(st.tuples(amounts, amounts), min_size=6, max_size=20))
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


@given(st.lists(st.tuples(shares, shares), min_size=6, max_size=20))
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


def test_five_values_are_too_few() -> None:
    """Nothing is said about them: of 32 flips of their signs, two are more than 5 %."""
    assert statistics.mean_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None
    assert statistics.paired_interval([1.0] * 5, [2.0] * 5) is None
    assert statistics.unpaired_interval([1.0] * 5, [1.0] * 9) is None
    assert statistics.minimum_detectable_effect([1.0] * 5, [1.0] * 5, None, 2.0) is None


def test_at_six_values_the_interval_is_what_no_flip_of_signs_rejects() -> None:
    """From the smallest mean of the 63 subsets to the largest: two of 64 flips lie outside."""
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    found = statistics.mean_interval(values)
    assert found == statistics.Interval(3.5, 1.0, 6.0)


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
    found = statistics.mean_interval([0.0, 0.0, 0.0, 0.0, 1e-9, -1.0])
    assert found is not None
    assert -4 < found.low < -0.2 < found.high < 3
