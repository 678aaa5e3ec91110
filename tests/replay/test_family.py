"""The measures of a plan, judged together: no false wins, real effects found, words that agree."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_replay.verdicts import family, sign_flips
from phasewise_replay.verdicts.family import Pairs
from phasewise_replay.verdicts.measures import MEASURES
from phasewise_replay.verdicts.statistics import Interval
from phasewise_replay.verdicts.verdict import Metric

RUNS = 200
tables = st.lists(
    st.lists(st.integers(-50, 50), min_size=3, max_size=3), min_size=6, max_size=9
).map(lambda rows: np.array(rows, dtype=np.float64))


def run(generator: np.random.Generator, sessions: int, effect: float = 0.0) -> list[Metric]:
    """Judge six measures of sessions of different lengths, whose noise is in part the same.

    `effect` is the saving of the first measure.
    """
    lengths = generator.lognormal(0, 1, sessions)
    shared = generator.normal(0, 0.06, sessions)
    names = tuple(f"s{number}" for number in range(sessions))
    pairs = []
    for place, measure in enumerate(MEASURES[:6]):
        noise = np.exp(shared + generator.normal(0, 0.08, sessions))
        after = lengths * noise * (1 - effect if place == 0 else 1)
        pairs.append(Pairs(measure, "arm", names, tuple(lengths), tuple(after)))
    return family.judged(pairs, void=False)


@pytest.mark.parametrize("sessions", [8, 12])
def test_the_same_configuration_twice_wins_no_more_often_than_stated(sessions: int) -> None:
    """Any false word about any measure, in 200 seeded runs: at most 5 % and its binomial error."""
    generator = np.random.default_rng(11)
    wins = sum(
        any(metric.verdict in ("lower", "higher") for metric in run(generator, sessions))
        for _ in range(RUNS)
    )
    assert wins / RUNS <= 0.05 + 2 * (0.05 * 0.95 / RUNS) ** 0.5


def test_a_saving_of_ten_percent_is_found_when_it_is_above_what_the_run_says_it_detects() -> None:
    """In at least 80 % of such runs; and a saving of half is nearly always found."""
    generator = np.random.default_rng(13)
    told = found = 0
    for _ in range(RUNS // 2):
        head = run(generator, 24, effect=0.1)[0]
        assert head.minimum_detectable_effect is not None
        if head.minimum_detectable_effect <= 0.1 * head.baseline:
            told += 1
            found += head.verdict == "lower"
    assert told > RUNS / 8
    assert found / told >= 0.8
    large = [run(generator, 12, effect=0.5)[0].verdict for _ in range(50)]
    assert large.count("lower") >= 48


@given(tables)
def test_adjusted_p_values_are_between_the_single_ones_and_bonferroni_s(
    differences: npt.NDArray[np.float64],
) -> None:
    """And in the order of the evidence."""
    single, joint = sign_flips.p_values(differences), sign_flips.adjusted(differences)
    for one, adjusted in zip(single, joint, strict=True):
        assert one <= adjusted + 1e-12
        assert 0 < adjusted <= 1
    scaled = sign_flips.adjusted(differences * 1000)
    assert scaled == pytest.approx(joint)


def test_the_p_value_counts_every_flip() -> None:
    """Six equal differences: 2 of 64 flips sum to as much; beside noise it is a larger share."""
    noise = np.array([1.0, -1.0, 2.0, -2.0, 0.5, -0.5])
    both = np.column_stack([np.ones(6), noise])
    assert sign_flips.p_values(both)[0] == 2 / 64
    sums = [abs(float(noise @ np.array(signs))) for signs in itertools.product((1, -1), repeat=6)]
    assert sign_flips.p_values(both)[1] == 1.0
    assert max(sums) == 7.0
    largest = max(sums) / float(np.sqrt((noise**2).sum()))
    assert largest < np.sqrt(6)  # so the noise never reaches the statistic of equal differences
    assert sign_flips.adjusted(both)[0] == 2 / 64


def test_a_measure_that_never_differs_proves_nothing_and_costs_nothing() -> None:
    """Its p-value is 1, and the others' are as without it."""
    alone = np.arange(1.0, 9.0)[:, None]
    beside = np.hstack([alone, np.zeros((8, 1))])
    assert sign_flips.adjusted(beside) == [sign_flips.adjusted(alone)[0], 1.0]


@pytest.mark.parametrize(
    ("interval", "p_value", "adjusted_p", "word"),
    [
        (None, None, None, "too few sessions"),
        (Interval(-1, -2, 0.5), 0.01, 0.01, "no significant difference"),
        (Interval(-1, -2, -0.5), 0.01, 0.04, "lower"),
        (Interval(1, 0.5, 2), 0.01, 0.04, "higher"),
        (Interval(1, 0.5, 2), 0.04, 0.06, "no significant difference"),
        (Interval(1, 0.5, 2), 2 / 64, 4 / 64, "too few sessions"),
    ],
)
def test_interval_and_test_must_agree(
    interval: Interval | None, p_value: float | None, adjusted_p: float | None, word: str
) -> None:
    """An interval with zero in it, or a p-value over 5 % among all measures, is no difference.

    In the last row all six sessions agree, and among several measures six cannot prove it.
    """
    assert family.judgement(interval, p_value, adjusted_p, sessions=6) == word
