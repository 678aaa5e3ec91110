"""Time of an engine that serves several calls at once: all of it is shared, none of it twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_replay.verdicts.phase_timeline import Served, Split, share


def call(start: int, prefill: int, decode: int, new: int = 100) -> Served:
    """Make a call that is scheduled at `start`."""
    first = start + prefill
    return Served((start, first), (first, first + decode), new, 0, new)


times = st.integers(0, 1000)
calls = st.lists(st.builds(call, times, times, times, st.integers(0, 500)), max_size=12)
shares = st.integers(0, 100).map(lambda value: value / 100)


def busy_ns(served: list[Served]) -> int:
    """Count the moments in which any call was in a phase."""
    moments: set[int] = set()
    for one in served:
        moments |= set(range(*one.prefill_ns)) | set(range(*one.decode_ns))
    return len(moments)


@given(calls, shares)
def test_the_parts_sum_to_the_busy_time(served: list[Served], prefill: float) -> None:
    """Over all calls and phases, and the prefill lies in its band."""
    found = share(served, lambda reading, writing: Split(prefill, 0.0, 1.0))
    assert sum(one.total_ns for one in found) == pytest.approx(busy_ns(served))
    for one in found:
        assert one.prefill_low_ns <= one.prefill_ns + 1e-6
        assert one.prefill_ns <= one.prefill_high_ns + 1e-6


@given(calls)
def test_what_nothing_shares_is_kept_as_mixed_time(served: list[Served]) -> None:
    """Without a split the sum is the same, and no phase gets time of a mixed step."""
    found = share(served, lambda reading, writing: None)
    assert sum(one.total_ns for one in found) == pytest.approx(busy_ns(served))


@given(calls, st.randoms())
def test_the_order_of_the_calls_does_not_matter(served: list[Served], random: object) -> None:
    """A permutation gives every call the same part."""
    order = list(range(len(served)))
    random.shuffle(order)  # type: ignore[attr-defined]  # a random.Random
    split = Split(0.3, 0.2, 0.4)
    one = share(served, lambda reading, writing: split)
    two = share([served[at] for at in order], lambda reading, writing: split)
    for place, at in enumerate(order):
        assert two[place].total_ns == pytest.approx(one[at].total_ns)


def test_a_call_alone_has_its_own_times() -> None:
    """Prefill and decode as measured."""
    (one,) = share([call(5, 10, 30)], lambda reading, writing: None)
    assert (one.prefill_ns, one.decode_ns, one.mixed_ns) == (10, 30, 0)


def test_a_mixed_stretch_is_split_and_dealt_out() -> None:
    """Two calls decode for 100 ns; in its middle a third prefills for 20, half of it its own."""
    served = [call(0, 0, 100), call(0, 0, 100), call(40, 20, 0)]
    first, second, third = share(served, lambda reading, writing: Split(0.5, 0.25, 0.75))
    assert (third.prefill_ns, third.prefill_low_ns, third.prefill_high_ns) == (10, 5, 15)
    assert first.decode_ns == second.decode_ns == 45


def test_prompts_read_together_share_by_their_new_tokens() -> None:
    """Of 300 new tokens 100 are a third."""
    one, two = share([call(0, 30, 0, 100), call(0, 30, 0, 200)], lambda reading, writing: None)
    assert (one.prefill_ns, two.prefill_ns) == pytest.approx((10, 20))
