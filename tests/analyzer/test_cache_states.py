"""The states of input tokens, and the bill where a source does not report its cache."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer import analyse, rollups
from phasewise_analyzer.cache_states import Predicted, states
from phasewise_store.facts import Usage
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import messages, write_calls

amounts = st.integers(0, 10**6)
WORDS = "Some words that fill a prompt until caches care about what is in it. " * 300


@given(
    st.builds(Usage, amounts, amounts, amounts, amounts, cache_reported=st.booleans()),
    amounts,
    st.none() | st.builds(Predicted, st.just("rule"), amounts, amounts, amounts),
    st.booleans(),
)
def test_states_are_parts_of_the_input(
    usage: Usage, sent_before: int, predicted: Predicted | None, cost_is_reported: bool
) -> None:
    """No state is negative, together they fit the input, and every usage has the same input."""
    found = states(
        usage, sent_before=sent_before, predicted=predicted, cost_is_reported=cost_is_reported
    )
    cached = usage.cache_read_tokens if usage.cache_reported else 0
    assert min(found.sent_before, found.missed, found.unreported) >= 0
    assert cached + found.missed + found.unreported <= max(usage.input_tokens, cached)
    assert not (found.missed and found.unreported)
    for one in (found.billed, found.all_read, found.none_read):
        assert one.input_tokens == usage.input_tokens
        assert min(one.uncached_tokens, one.cache_read_tokens) >= 0
    if usage.cache_reported:
        assert found.billed == found.all_read == found.none_read == usage


def two_calls(store: Store, *, reported: bool, cost_usd: float | None = None) -> None:
    """Write a call, and one with the same prompt and a little more."""
    whole = 5_000
    usage = Usage(uncached_tokens=whole, output_tokens=10, cache_reported=reported)
    write_calls(
        store,
        [messages([WORDS]), messages([WORDS, "more"])],
        usages=[usage, usage],
        provider="openai",
        model="gpt-5.4",
        starts_ns=[1_790_000_000 * 10**9, 1_790_000_060 * 10**9],
        reported_cost_usd=cost_usd,
    )
    analyse.analyse(store)


def test_what_is_not_reported_is_priced_by_the_rule_with_its_range(store: Store) -> None:
    """The rule reads whole blocks of 128 tokens; the range is all that was sent before, to none."""
    two_calls(store, reported=False)
    row = store.frame("SELECT * FROM call_costs WHERE call_id = 's.1'").row(0, named=True)
    read = row["billed_read_tokens"]
    assert 0 < read <= row["unreported_tokens"] == row["sent_before_tokens"]
    assert read % 128 == 0
    assert (row["missed_tokens"], row["missed_usd"], row["cached_usd"]) == (0, 0, 0)
    rates = {"full": Decimal("2.5"), "read": Decimal("0.25")}

    def priced(read_tokens: int) -> Decimal:
        return (read_tokens * rates["read"] + (5_000 - read_tokens) * rates["full"]) / 10**6

    assert row["prefill_usd"] == priced(read)
    assert row["prefill_low_usd"] == priced(row["unreported_tokens"])
    assert row["prefill_high_usd"] == priced(0)
    assert "not reported" in row["price_source"]


def test_what_is_reported_is_missed_and_has_no_range(store: Store) -> None:
    """A report of no read: what was sent before is missed, and the bill is what was charged."""
    two_calls(store, reported=True)
    whole = rollups.totals(store)
    assert whole.unreported_tokens == 0
    assert whole.missed_tokens == whole.sent_before_tokens > 4_000
    assert whole.prefill_usd == whole.prefill_low_usd == whole.prefill_high_usd
    assert whole.missed_usd == whole.missed_tokens * Decimal("2.25") / 10**6


def test_a_cost_that_the_source_reports_is_not_predicted_over(store: Store) -> None:
    """The source's own account of the call stands; what is not known about it is the cache."""
    two_calls(store, reported=False, cost_usd=0.0126)
    whole = rollups.totals(store)
    assert whole.prefill_usd == 2 * 5_000 * Decimal("2.5") / 10**6
    assert whole.unreported_tokens > 4_000
    assert whole.prefill_low_usd is not None
    assert whole.prefill_low_usd < whole.prefill_usd == whole.prefill_high_usd
