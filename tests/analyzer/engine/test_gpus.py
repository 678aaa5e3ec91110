"""GPUs and their prices."""

import pytest
from phasewise_analyzer.engine.hardware import gpus
from phasewise_store.errors import UsageError


@pytest.mark.parametrize("spelling", ["RTX PRO 6000", "RTXPRO6000", "rtx-pro-6000"])
def test_a_gpu_is_found_however_it_is_spelled(spelling: str) -> None:
    """Case, spaces and dashes do not matter."""
    assert gpus.find(spelling).name == "rtx-pro-6000"


def test_an_unknown_gpu_lists_the_known_ones() -> None:
    """A GPU that is not in the table is refused."""
    with pytest.raises(
        UsageError, match="unknown GPU `h900`; known: a100-80gb, a100-pcie, h100-sxm"
    ):
        gpus.find("h900")


def test_a_gpu_without_a_format_computes_in_bf16() -> None:
    """An A100 has no FP8 units: FP8 weights save memory, not FLOPs."""
    assert gpus.find("a100").rate("fp8") == gpus.find("a100").rate("bf16")
    assert gpus.find("h100").rate("fp8") == 1979e12


def test_a_users_own_price_comes_first() -> None:
    """A given price has no band; a published one has a date and a source."""
    own = gpus.price("h100", 6.98)
    assert own is not None
    assert (own.low, own.mid, own.high, own.date) == (6.98, 6.98, 6.98, None)
    band = gpus.price("h100")
    assert band is not None
    assert band.low < band.mid < band.high
    assert band.date is not None


def test_every_band_is_in_order() -> None:
    """Low, mid and high of every price are in that order, each with a source."""
    for name in gpus.names():
        band = gpus.price(name)
        if band is not None:
            assert 0 < band.low <= band.mid <= band.high
            assert band.source


def test_a_gpu_can_have_no_published_price() -> None:
    """Where no source was found there is no price, and none is made up."""
    assert gpus.price("gb300") is None
