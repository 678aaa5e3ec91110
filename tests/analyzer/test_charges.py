"""A call's price: the list of its day with its tier, the source's own, or none; never a wrong 0."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer import bill, price_terms
from phasewise_analyzer.charges import NOBODY_ASKED, REPORTED, Call, charge
from phasewise_analyzer.prices import DATED, FREE, PriceBook, Rates
from phasewise_store.facts import Billing, OtherModel, Usage

BOOK = PriceBook()
AT_NS = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp()) * 10**9
MILLION = Usage(uncached_tokens=10**6)


def cost(provider: str, model: str, usage: Usage, reported_usd: float | None = None) -> object:
    """Give the bill, None where there is none."""
    found = charge(Call(provider, model, usage, AT_NS, reported_usd), BOOK)
    return None if found.bill is None else found.bill.total_usd


@pytest.mark.parametrize(
    ("provider", "model", "billing", "expected"),
    [
        ("openai", "gpt-5", Billing(), "1.25"),
        ("openai", "gpt-5", Billing(service_tier="flex"), "0.625"),
        ("openai", "gpt-5", Billing(service_tier="priority"), "2.5"),
        ("openai", "gpt-5", Billing(service_tier="scale"), None),
        ("openai", "o4-mini", Billing(service_tier="priority"), "2"),
        ("openai", "gpt-4o-mini", Billing(service_tier="priority"), "0.25"),
        ("google", "gemini-2.5-flash", Billing(service_tier="flex"), "0.15"),
        ("anthropic", "claude-opus-4-6", Billing(region="us"), "5.5"),
        ("anthropic", "claude-opus-4-6", Billing(speed="fast"), "30"),
        ("anthropic", "claude-opus-4-6", Billing(service_tier="batch"), "2.5"),
        ("anthropic", "claude-opus-4-5", Billing(speed="fast"), None),
        ("anthropic", "claude-sonnet-4-5", Billing(web_searches=3), "6.03"),
        ("openai", "gpt-audio", Billing(input_audio_tokens=500_000), "17.25"),
        ("openrouter", "deepseek/deepseek-r1:free", Billing(), "0"),
        ("openai", "ft:gpt-4.1-mini-2025-04-14:acme::abc123", Billing(), None),
    ],
)
def test_the_terms_of_a_call_set_its_price(
    provider: str, model: str, billing: Billing, expected: str | None
) -> None:
    """Tier, speed, audio and searches have prices of their own; an unknown tier has none."""
    found = cost(provider, model, replace(MILLION, billing=billing))
    assert found == (None if expected is None else Decimal(expected))


def test_an_unknown_tier_says_why_there_is_no_price() -> None:
    """The reason stands where the price list would."""
    usage = replace(MILLION, billing=Billing(service_tier="scale"))
    found = charge(Call("openai", "gpt-5", usage, AT_NS), BOOK)
    assert (found.bill, found.source) == (None, "no price: scale of openai/gpt-5")


def test_a_tier_begins_on_its_day() -> None:
    """OpenAI sold no priority for gpt-5 before gpt-5 was there."""
    billing = Billing(service_tier="priority")
    day = int(datetime(2025, 8, 6, tzinfo=UTC).timestamp()) * 10**9
    assert price_terms.terms_of(billing, "openai/gpt-5", day).unknown == ("priority",)
    assert price_terms.terms_of(billing, "openai/gpt-5", day + 10**14).names == ("priority",)


def test_another_model_inside_a_call_is_billed_with_it() -> None:
    """Sonnet's million and an advisor's thousand: 3 + 0.005 dollars."""
    advisor = OtherModel("claude-opus-4-6", Usage(uncached_tokens=1000))
    usage = Usage(uncached_tokens=10**5, billing=Billing(other_models=(advisor,)))
    assert cost("anthropic", "claude-sonnet-4-6", usage) == Decimal("0.305")
    unknown = replace(advisor, model="nobody-knows-it")
    assert (
        cost(
            "anthropic",
            "claude-sonnet-4-6",
            replace(usage, billing=Billing(other_models=(unknown,))),
        )
        is None
    )


@pytest.mark.parametrize(
    ("model", "hit", "reported_usd", "expected", "source"),
    [
        ("acme/private", False, 0.0123, "0.0123", REPORTED),
        ("acme/private", False, 0.0, None, None),
        ("gpt-5", False, 0.5, "1.25", DATED),
        ("gpt-5", True, 0.0, "0", NOBODY_ASKED),
        ("gpt-5", True, None, "0", NOBODY_ASKED),
    ],
)
def test_a_reported_cost_is_used_where_no_price_is_known(
    model: str, hit: bool, reported_usd: float | None, expected: str | None, source: str | None
) -> None:
    """A 0 counts where the client's own cache gave the answer, and nowhere else."""
    usage = replace(MILLION, billing=Billing(response_cache_hit=hit))
    found = charge(Call("openai", model, usage, AT_NS, reported_usd), BOOK)
    total = None if found.bill is None else found.bill.total_usd
    assert (total, found.source) == (None if expected is None else Decimal(expected), source)


RATE = st.decimals(0, 100, places=4)
TOKENS = st.integers(0, 10**6)


@given(RATE, RATE, RATE, RATE, TOKENS, TOKENS, TOKENS, TOKENS, st.integers(0, 9))
def test_the_parts_sum_and_cached_audio_costs_no_more(  # noqa: PLR0917 -- one draw a number
    text: Decimal,
    audio: Decimal,
    read: Decimal,
    heard: Decimal,
    uncached: int,
    cached: int,
    spoken: int,
    heard_tokens: int,
    searches: int,
) -> None:
    """Whatever the rates: no part is negative, and a cached token costs no more than a new one."""
    rates = Rates(
        text,
        min(read, text),
        *(text, text, text, text),
        input_audio=audio,
        cached_audio=min(heard, audio),
        output_audio=audio,
        web_search_usd=Decimal("0.01"),
    )
    billing = Billing(
        input_audio_tokens=heard_tokens,
        cached_audio_tokens=min(heard_tokens, spoken),
        output_audio_tokens=spoken,
        web_searches=searches,
    )
    usage = Usage(uncached, cached, output_tokens=spoken, billing=billing)
    parts = bill.split(rates, usage)
    assert min(parts.prefill_usd, parts.decode_usd, parts.other_usd, parts.cached_usd) >= 0
    assert parts.other_usd == searches * Decimal("0.01")
    assert Rates.from_json(rates.as_json()) == rates
    fresh = bill.split(
        rates, replace(usage, uncached_tokens=uncached + cached, cache_read_tokens=0)
    )
    if not billing.input_audio_tokens:
        assert parts.prefill_usd <= fresh.prefill_usd
    assert bill.split(FREE, usage).total_usd == 0


def test_every_row_of_the_table_names_its_source_and_day() -> None:
    """Each row is usable: a page, a day it was read, a factor above 0."""
    for row in price_terms.table():
        assert row.source.startswith("https://")
        assert date(2020, 1, 1) < row.since <= row.read
        assert row.factor > 0
