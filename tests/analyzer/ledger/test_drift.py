"""A change of a provider's rule is found at its call, and noise is not taken for one."""

import numpy as np
import pytest
from phasewise_analyzer.ledger import drift


@pytest.mark.parametrize("at", [15, 60, 180])
@pytest.mark.parametrize("seed", range(5))
def test_a_change_is_found_where_it_is(at: int, seed: int) -> None:
    """From 95 % to 50 % of what is promised, with noise, within three calls of the truth."""
    random = np.random.default_rng(seed)
    shares = np.concatenate((random.normal(0.95, 0.05, at), random.normal(0.5, 0.2, 200 - at)))
    found = drift.find(np.clip(shares, 0, 1))
    assert found is not None
    assert abs(found.at - at) <= 3
    assert found.before > found.after


def test_noise_is_rarely_taken_for_a_change() -> None:
    """Of two hundred series that do not change, at most four are said to."""
    random = np.random.default_rng(7)
    alarms = sum(
        drift.find(random.binomial(1, 0.7, 60).astype(np.float64)) is not None for _ in range(200)
    )
    assert alarms <= 4


def test_a_short_series_shows_nothing() -> None:
    """With less than twelve calls on a side there is no telling."""
    assert drift.find(np.array([1.0] * 11 + [0.0] * 11)) is None
