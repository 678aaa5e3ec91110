"""Prices: the rules of arithmetic, and real bills."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer import analyse, bill, rollups
from phasewise_analyzer.prices import PriceBook, Rates
from phasewise_collector.importing import import_paths
from phasewise_store.facts import Usage
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import messages, write_calls

amounts = st.integers(0, 10**7)
prices = st.decimals(0, 500, places=4)


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    """Draw a price list whose cached rate is not above its input rate."""
    uncached = draw(prices)
    share = draw(st.decimals(0, 1, places=3))
    return Rates(
        uncached=uncached,
        cache_read=draw(st.sampled_from([None, uncached * share])),
        cache_write_5m=uncached * Decimal("1.25"),
        cache_write_1h=uncached * 2,
        output=draw(prices),
        reasoning=draw(prices),
        request_usd=draw(st.decimals(0, 1, places=4)),
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Draw token counts."""
    output = draw(amounts)
    return Usage(
        uncached_tokens=draw(amounts),
        cache_read_tokens=draw(amounts),
        cache_write_5m_tokens=draw(amounts),
        cache_write_1h_tokens=draw(amounts),
        output_tokens=output,
        reasoning_tokens=draw(st.integers(0, output)),
    )


@given(rates(), usages())
def test_the_phases_sum_to_the_bill_to_the_last_digit(price: Rates, usage: Usage) -> None:
    """prefill$ + decode$ + other$ is the exact bill rounded once, and no part is negative."""
    parts = bill.split(price, usage)
    read = price.uncached if price.cache_read is None else price.cache_read
    visible = usage.output_tokens - usage.reasoning_tokens
    exact = (
        usage.uncached_tokens * price.uncached
        + usage.cache_read_tokens * read
        + usage.cache_write_5m_tokens * price.cache_write_5m
        + usage.cache_write_1h_tokens * price.cache_write_1h
        + visible * price.output
        + usage.reasoning_tokens * price.reasoning
    ) / 10**6 + price.request_usd
    assert abs(parts.total_usd - exact) <= bill.LAST_DIGIT / 2
    assert parts.total_usd == parts.prefill_usd + parts.decode_usd + parts.other_usd
    assert min(parts.prefill_usd, parts.decode_usd, parts.other_usd) >= 0


@given(rates(), usages(), amounts, st.integers(1, 9))
def test_stretches_are_exact_also_at_rates_without_an_end(
    price: Rates, usage: Usage, tokens: int, divisor: int
) -> None:
    """What the front of a prompt cost and could have saved are exact sums, rounded once.

    Also where a tier makes a rate of 28 digits; savings are rounded down.
    """
    price = price.times(Fraction(1, divisor))
    read = price.uncached if price.cache_read is None else price.cache_read
    in_order = [
        (usage.cache_write_1h_tokens, price.cache_write_1h),
        (usage.cache_write_5m_tokens, price.cache_write_5m),
        (usage.uncached_tokens, price.uncached),
    ]
    digit = Fraction(bill.LAST_DIGIT)
    above, left = Fraction(0), tokens
    for there, rate in in_order:
        above += min(left, there) * max(Fraction(0), Fraction(rate) - Fraction(read)) / 10**6
        left -= min(left, there)
    saved = Fraction(bill.above_read_usd(price, usage, tokens))
    assert saved == (0 if price.cache_read is None else above // digit * digit)
    charged, left = Fraction(0), tokens
    for there, rate in [(usage.cache_read_tokens, read), *in_order]:
        charged += min(left, there) * Fraction(rate) / 10**6
        left -= min(left, there)
    assert Fraction(bill.charged_usd(price, usage, tokens)) == round(charged / digit) * digit


@given(rates(), usages(), amounts)
def test_a_cached_token_never_costs_more_than_an_uncached_one(
    price: Rates, usage: Usage, moved: int
) -> None:
    """Moving tokens from uncached to cached never raises the bill; what it saves is bounded."""
    moved = min(moved, usage.uncached_tokens)
    cheaper = Usage(
        uncached_tokens=usage.uncached_tokens - moved,
        cache_read_tokens=usage.cache_read_tokens + moved,
        cache_write_5m_tokens=usage.cache_write_5m_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )
    before, after = bill.split(price, usage), bill.split(price, cheaper)
    assert after.prefill_usd <= before.prefill_usd
    saved = bill.above_read_usd(price, usage, moved)
    assert 0 <= saved <= before.prefill_usd


def test_prices_are_those_of_the_call_s_own_day() -> None:
    """gpt-4o cost 5 USD per million input tokens in June 2024 and 2.50 in December."""
    book = PriceBook()
    june, december = 1_717_200_000 * 10**9, 1_733_000_000 * 10**9
    early = book.price("openai", "gpt-4o-2024-05-13", input_tokens=10, at_ns=june)
    late = book.price("openai", "gpt-4o", input_tokens=10, at_ns=december)
    assert early is not None
    assert late is not None
    assert (early.rates.uncached, late.rates.uncached) == (Decimal(5), Decimal("2.5"))
    assert early.source.startswith("genai-prices ")


def test_an_unknown_model_has_no_price_and_is_no_zero(store: Store) -> None:
    """Its sums of money are None, not 0."""
    write_calls(store, [messages(["hello"])], model="nobody-sells-this", provider="nobody")
    assert analyse.analyse(store) == 1
    (row,) = rollups.agents(store)
    assert (row.totals.priced_calls, row.totals.total_usd) == (0, None)


@pytest.mark.parametrize("model", ["gpt-5.4", "gpt-4.1"])
def test_real_bills_are_reproduced_where_the_list_has_the_price(
    shared_traces: Path, store: Store, model: str
) -> None:
    """tau2-bench's recorded costs follow from our split, call by call, to 1e-9 USD."""
    import_paths(store, [shared_traces / "tau2-bench" / "gpt-5.4_airline_50sims.json.gz"])
    analyse.analyse(store)
    rows = store.frame(
        "SELECT prefill_usd + decode_usd + other_usd AS usd, reported_cost_usd FROM llm_calls "
        "JOIN call_costs USING (call_id) WHERE model = $model",
        {"model": model},
    )
    assert rows.height > 300
    for usd, reported in rows.iter_rows():
        assert float(usd) == pytest.approx(reported, abs=1e-9)


def test_analysing_again_does_nothing_and_new_calls_only_are_added(store: Store) -> None:
    """The first pass takes all calls, the second none, a third the new session's."""
    write_calls(store, [messages(["a"]), messages(["a", "b"])])
    assert (analyse.analyse(store), analyse.analyse(store)) == (2, 0)
    write_calls(store, [messages(["a", "b", "c"])], session="t")
    assert analyse.analyse(store) == 1
    reusable = store.frame("SELECT sent_before_tokens FROM call_costs WHERE call_id = 't.0'").item()
    assert reusable == messages(["a"])[0].tokens + messages(["b"])[0].tokens


def test_what_another_model_read_is_not_reusable(store: Store) -> None:
    """The same prompt to two models: only the second call to the same one could hit."""
    prompt = messages(["hello " * 200])
    write_calls(store, [prompt], model="gpt-4o", provider="openai")
    write_calls(store, [prompt], model="gpt-4.1", provider="openai", session="t")
    write_calls(store, [prompt], model="gpt-4o", provider="openai", session="u")
    analyse.analyse(store)
    rows = store.frame("SELECT call_id, sent_before_tokens FROM call_costs ORDER BY call_id").rows()
    assert rows == [("s.0", 0), ("t.0", 0), ("u.0", prompt[0].tokens)]
