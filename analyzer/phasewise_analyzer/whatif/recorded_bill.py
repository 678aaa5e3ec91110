"""What the trace itself reports as used and billed, in the form of a what-if."""

from collections import Counter
from decimal import Decimal

from phasewise_store.facts import Usage

from phasewise_analyzer import bill
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.prices import PriceBook, Rates
from phasewise_analyzer.whatif.facts import Money, Outcome, Spent

_COLUMNS = (
    *("uncached_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    *("output_tokens", "reasoning_tokens"),
)


def billed(requests: Requests, prices: PriceBook) -> Outcome:
    """Sum up the calls with a known prompt as their usage was reported."""
    known = requests.calls.filter(requests.tree.leaf >= 0)
    charged: Counter[tuple[Rates, str]] = Counter()
    seen: Counter[str] = Counter()
    asked: Counter[Rates] = Counter()
    priced = 0
    for call in known.iter_rows(named=True):
        usage = {name: int(call[name]) for name in _COLUMNS}
        seen.update(usage)
        price = prices.price(
            call["provider"],
            call["model"],
            input_tokens=call["input_tokens"],
            at_ns=call["started_ns"],
        )
        if price is not None:
            priced += 1
            usage["reasoning_tokens"] = min(usage["reasoning_tokens"], usage["output_tokens"])
            asked[price.rates] += 1
            for name, tokens in usage.items():
                charged[price.rates, name] += tokens
    written = {"5m": seen["cache_write_5m_tokens"], "1h": seen["cache_write_1h_tokens"]}
    return Outcome(
        name="as billed",
        calls=known.height,
        spent=Spent(
            seen["cache_read_tokens"],
            {name: tokens for name, tokens in written.items() if tokens},
            seen["uncached_tokens"],
            seen["output_tokens"],
        ),
        money=_money(charged, asked) if priced else None,
        unpriced_calls=known.height - priced,
        unruled_calls=0,
        cache_known_calls=int(known["cache_reported"].sum()),
    )


def _money(charged: Counter[tuple[Rates, str]], asked: Counter[Rates]) -> Money:
    """Price the sums, a rate at a time: a price is linear in its tokens."""
    parts = dict.fromkeys(("read", "written", "uncached", "output"), Decimal(0))
    for rates in asked:
        used = {name: charged[rates, name] for name in _COLUMNS}
        read = Usage(cache_read_tokens=used["cache_read_tokens"])
        written = Usage(
            cache_write_5m_tokens=used["cache_write_5m_tokens"],
            cache_write_1h_tokens=used["cache_write_1h_tokens"],
        )
        parts["read"] += bill.split(rates, read).prefill_usd
        parts["written"] += bill.split(rates, written).prefill_usd
        uncached = Usage(uncached_tokens=used["uncached_tokens"])
        parts["uncached"] += bill.split(rates, uncached).prefill_usd
        answers = Usage(
            output_tokens=used["output_tokens"], reasoning_tokens=used["reasoning_tokens"]
        )
        parts["output"] += bill.split(rates, answers).decode_usd
    return Money(
        read_usd=parts["read"],
        written_usd=parts["written"],
        uncached_usd=parts["uncached"],
        storage_usd=Decimal(0),
        output_usd=parts["output"],
        request_usd=sum((rates.request_usd * n for rates, n in asked.items()), Decimal(0)),
    )
