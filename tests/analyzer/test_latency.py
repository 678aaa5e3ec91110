"""The split of a call's wait: sums, bases, and an interval that holds what it claims."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer import analyse, latency, latency_fit, rollups, timeline
from phasewise_store.facts import Usage
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import messages, write_calls

maybe = st.none() | st.integers(-5, 10**12)
fractions = st.floats(0, 1)


@given(st.tuples(maybe, maybe, maybe, maybe, maybe), st.tuples(fractions, fractions, fractions))
def test_the_parts_sum_to_the_wait_and_are_never_negative(
    times: tuple[int | None, int | None, int | None, int | None, int | None],
    share: tuple[float, float, float],
) -> None:
    """Whatever a source claims, prefill + decode + other is the duration where it is known."""
    duration = times[0]
    found = latency.split(latency.Times(*times), latency.Share(*share))
    parts = [found.prefill_ns, found.decode_ns, found.other_ns]
    known = [part for part in parts if part is not None]
    assert all(part >= 0 for part in known)
    if duration is not None and duration >= 0 and len(known) == 3:
        assert sum(known) == duration
    if found.prefill_ns is not None:
        assert found.prefill_low_ns is not None
        assert found.prefill_high_ns is not None
        assert found.prefill_low_ns <= found.prefill_ns <= found.prefill_high_ns


def test_the_best_basis_wins() -> None:
    """The engine's own phases come before a seen first token, that before an estimate."""
    share = latency.Share(0.5, 0.1, 0.9)
    all_known = latency.Times(100, 40, 5, 30, 55)
    assert latency.split(all_known, share).basis == "engine"
    assert latency.split(latency.Times(100, 40), share).basis == "measured"
    assert latency.split(latency.Times(100), share).basis == "estimated"
    assert latency.split(latency.Times(100)).basis == "unknown"


def test_an_interval_that_spans_the_call_is_no_split() -> None:
    """All or nothing is no knowledge: no part is given, and the call is in no sum of time."""
    found = latency.split(latency.Times(100, queue_ns=10), latency.Share(0.5, 0.0, 1.0))
    assert found == latency.Phases("unknown")
    assert latency.split(latency.Times(100), latency.Share(0.5, 0.0, 0.9)).basis == "estimated"


def test_too_few_calls_with_a_first_token_split_no_other_call(store: Store) -> None:
    """Where nothing can be fitted, a duration alone says nothing about its phases."""
    write_calls(store, [messages(["a" * 400])], started_ns=10**18, duration_ns=2 * 10**9)
    analyse.analyse(store)
    (step,) = timeline.timeline(store, "s").steps
    assert (step.basis, step.prefill_ns, step.decode_ns) == ("unknown", None, None)
    assert rollups.totals(store).timed_calls == 0


def test_saved_time_is_that_of_as_many_uncached_tokens() -> None:
    """A millisecond a token: a thousand cached tokens saved a second, beside the wait."""
    model = latency_fit.ShareModel((0.5, 1e-3, 1e-5), (0.0, 0.02), -0.1, 0.1)
    assert model.saved_s(np.array([0.0, 1000.0])).tolist() == [0.0, 1.0]


@pytest.mark.slow
def test_the_interval_covers_what_it_claims_on_calls_it_has_not_seen(
    kv_cache_tester: Store,
) -> None:
    """Fitted on half of the real streamed calls, it holds 95 % of the other half (90 to 99)."""
    seen = kv_cache_tester.frame(
        "SELECT c.input_tokens, k.sent_before_tokens, c.output_tokens, c.ttft_ns, c.duration_ns "
        "FROM llm_calls c JOIN call_costs k USING (call_id) "
        "WHERE ttft_ns > 0 AND duration_ns >= ttft_ns ORDER BY hash(call_id)"
    )
    assert seen.height > 1000
    half = seen.height // 2

    def sizes(rows: pl.DataFrame) -> latency_fit.Sizes:
        read = rows["input_tokens"].to_numpy().astype(np.float64)
        return latency_fit.Sizes(
            read - rows["sent_before_tokens"].to_numpy(),
            read,
            rows["output_tokens"].to_numpy().astype(np.float64),
        )

    learned, judged = seen.head(half), seen.tail(seen.height - half)
    model = latency_fit.fit(
        sizes(learned), learned["ttft_ns"].to_numpy() / 1e9, learned["duration_ns"].to_numpy() / 1e9
    )
    assert model is not None
    shares = model.shares(sizes(judged))
    true = judged["ttft_ns"].to_numpy() / judged["duration_ns"].to_numpy()
    covered = ((true >= shares.low) & (true <= shares.high)).mean()
    assert 0.90 <= covered <= 0.99


def test_a_timeline_s_bars_sum_to_the_call_s_wait(store: Store) -> None:
    """Prefill + decode + other is the duration; cached tokens have no part in it."""
    write_calls(
        store,
        [messages(["a" * 400]), messages(["a" * 400, "b"])],
        usages=[
            Usage(uncached_tokens=100, output_tokens=5),
            Usage(uncached_tokens=10, cache_read_tokens=100, output_tokens=5),
        ],
        started_ns=10**18,
        duration_ns=2 * 10**9,
        ttft_ns=10**9,
    )
    analyse.analyse(store)
    found = timeline.timeline(store, "s")
    for step in found.steps:
        parts = (step.prefill_ns, step.decode_ns, step.other_ns)
        assert sum(part or 0 for part in parts) == step.duration_ns == 2 * 10**9
    assert [step.prefill_ns for step in found.steps] == [10**9, 10**9]
    assert [step.saved_ns for step in found.steps] == [None, None]  # too few calls for a fit
