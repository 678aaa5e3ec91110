"""What the trace itself reports as used and billed, in the form of a what-if."""

from collections.abc import Mapping
from decimal import Decimal

import polars as pl

from phasewise_analyzer import bill, cache_states
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.prices import Rates
from phasewise_analyzer.whatif.facts import Money, Outcome, Spent

_TOKENS = (
    *("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    *("uncached_tokens", "output_tokens"),
)
Call = Mapping[str, object]
"""a row of `reads.llm_calls`, analysed"""


def billed(requests: Requests) -> Outcome:
    """Sum up the calls with a known prompt as they are stored; their costs must be analysed."""
    known = requests.calls.filter(requests.tree.leaf >= 0)
    read, short, long, uncached, output = known.select(pl.col(_TOKENS).sum()).row(0)
    priced = known.filter(pl.col("prefill_usd").is_not_null())
    return Outcome(
        name="as billed",
        calls=known.height,
        spent=Spent(
            read,
            {name: tokens for name, tokens in (("5m", short), ("1h", long)) if tokens},
            uncached,
            output,
        ),
        money=_money(priced) if priced.height else None,
        unpriced_calls=known.height - priced.height,
        unruled_calls=0,
        cache_known_calls=int(known["cache_reported"].sum()),
    )


def _money(priced: pl.DataFrame) -> Money:
    """Add up what is stored: read + written + uncached is the input bill, to the last digit."""

    def total(name: str) -> Decimal:
        return sum(priced[name].to_list(), Decimal(0))

    read = total("cached_usd")
    written = sum((_written(call) for call in priced.iter_rows(named=True)), Decimal(0))
    return Money(
        read_usd=read,
        written_usd=written,
        uncached_usd=total("prefill_usd") - read - written,
        storage_usd=Decimal(0),
        output_usd=total("decode_usd"),
        request_usd=total("other_usd"),
    )


def _written(call: Call) -> Decimal:
    """Price the cache writes that a call's source reports."""
    if call["rates"] is None or not call["cache_reported"]:
        return Decimal(0)
    rates, usage = Rates.from_json(str(call["rates"])), cache_states.billed(call)
    read = usage.cache_read_tokens
    end = read + usage.cache_write_1h_tokens + usage.cache_write_5m_tokens
    return bill.charged_usd(rates, usage, end) - bill.charged_usd(rates, usage, read)
