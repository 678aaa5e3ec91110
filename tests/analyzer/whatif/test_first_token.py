"""The model of the time to the first token on waits that are known."""

import numpy as np
import pytest
from phasewise_analyzer.whatif.first_token import fit


def test_a_line_is_found_again_and_fewer_new_tokens_wait_less() -> None:
    """Of waits that grow with the new tokens, the mean is predicted and lies in its interval."""
    chance = np.random.default_rng(1)
    whole = chance.integers(1_000, 100_000, 400)
    new = (whole * chance.random(400)).astype(np.int64)
    output = chance.integers(10, 500, 400).astype(np.float64)
    first_s = (0.5 + 1e-4 * new) * (1 + 0.2 * chance.random(400))
    model = fit(new, whole, output, first_s, first_s + 0.02 * output)
    assert model is not None
    found = model.of(new, whole)
    assert found.low_s <= float(first_s.mean()) <= found.high_s
    assert found.mean_s == pytest.approx(float(first_s.mean()), rel=0.05)
    assert model.of(new // 10, whole).mean_s < 0.7 * found.mean_s


def test_too_few_first_tokens_give_no_model() -> None:
    """Ten calls, or none with a first token, are nothing to fit."""
    ten = np.arange(1, 11)
    floats = ten.astype(np.float64)
    assert fit(ten, ten, floats, floats, 2 * floats) is None
    nothing = np.full(100, np.nan)
    many = np.arange(1, 101)
    assert fit(many, many, nothing, nothing, nothing) is None
