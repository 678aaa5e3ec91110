"""Split a call's price into phases.

prefill $ = uncached + cache reads + cache writes; decode $ = output including reasoning; other $ =
charges per request and per search. Audio tokens have their own rates where the list has them. The
parts sum to the bill at the last stored digit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache

from phasewise_store.facts import Usage

from phasewise_analyzer.prices import REMEMBERED, Rates

LAST_DIGIT = Decimal("1e-12")
"""USD; what the store's DECIMAL(24, 12) keeps"""

_FINE = 48
"""digits behind the point of USD with which sums are made, as whole numbers: exact, and fast"""
_STORED: int = 10 ** (_FINE - 12)
"""so many of these are one last digit"""
_EXACT = Context(prec=100)

Tokens = tuple[int, int]
"""how many, and what one costs"""


@dataclass(frozen=True, slots=True)
class Bill:
    """One call's price by phase, each part in USD with twelve decimal places."""

    prefill_usd: Decimal
    decode_usd: Decimal
    other_usd: Decimal
    cached_usd: Decimal
    """the part of prefill_usd that cache reads cost"""

    @property
    def total_usd(self) -> Decimal:
        """The bill."""
        return self.prefill_usd + self.decode_usd + self.other_usd


@dataclass(frozen=True, slots=True)
class _TokenPrices:
    """What one token costs in whole numbers of 1e-48 USD; None as in `Rates`."""

    uncached: int
    cache_read: int
    """as charged: the full rate where the list has none for cached tokens"""
    cache_write_5m: int
    cache_write_1h: int
    output: int
    reasoning: int
    input_audio: int
    cached_audio: int
    output_audio: int
    request: int
    web_search: int
    has_reads: bool
    """whether the list has a rate for cached tokens"""


@lru_cache(maxsize=REMEMBERED)
def _token_prices(rates: Rates) -> _TokenPrices:
    uncached, output = _a_token(rates.uncached), _a_token(rates.output)
    read = uncached if rates.cache_read is None else _a_token(rates.cache_read)
    heard = uncached if rates.input_audio is None else _a_token(rates.input_audio)
    return _TokenPrices(
        uncached=uncached,
        cache_read=read,
        cache_write_5m=_a_token(rates.cache_write_5m),
        cache_write_1h=_a_token(rates.cache_write_1h),
        output=output,
        reasoning=_a_token(rates.reasoning),
        input_audio=heard,
        # audio that was cached costs no more than fresh
        cached_audio=min(read, heard)
        if rates.cached_audio is None
        else _a_token(rates.cached_audio),
        output_audio=output if rates.output_audio is None else _a_token(rates.output_audio),
        request=_whole(rates.request_usd, _FINE),
        web_search=0 if rates.web_search_usd is None else _whole(rates.web_search_usd, _FINE),
        has_reads=rates.cache_read is not None,
    )


def _a_token(rate: Decimal) -> int:
    """Turn USD per million tokens into what one token costs."""
    return _whole(rate, _FINE - 6)


def _whole(value: Decimal, digits: int) -> int:
    return int(_EXACT.to_integral_value(_EXACT.scaleb(value, digits)))


def _usd(stored_digits: int) -> Decimal:
    """Write a number of last digits as USD."""
    return Decimal(stored_digits).scaleb(-12, _EXACT)


def _rounded(fine: int) -> int:
    """Round to the last stored digit, half to even."""
    whole, rest = divmod(fine, _STORED)
    above_half = 2 * rest - _STORED
    return whole + 1 if above_half > 0 or (above_half == 0 and whole % 2 == 1) else whole


def split(rates: Rates, usage: Usage) -> Bill:
    """Price a call's tokens by phase.

    Running sums are rounded, not the parts: so no part is negative, and the sum of the parts is the
    exact bill, rounded once.
    """
    prices = _token_prices(rates)
    cached = _cost(_cached_parts(prices, usage))
    prefill = cached + _cost(_behind_the_read(prices, usage))
    thought = min(usage.reasoning_tokens, usage.output_tokens)
    spoken = min(usage.billing.output_audio_tokens, usage.output_tokens - thought)
    running = (
        prefill
        + (usage.output_tokens - thought - spoken) * prices.output
        + spoken * prices.output_audio
        + thought * prices.reasoning
    )
    whole = running + prices.request + usage.billing.web_searches * prices.web_search
    until = _rounded(prefill), _rounded(running), _rounded(whole)
    return Bill(
        _usd(until[0]),
        _usd(until[1] - until[0]),
        _usd(until[2] - until[1]),
        _usd(_rounded(cached)),
    )


def charged_usd(rates: Rates, usage: Usage, first_tokens: int) -> Decimal:
    """Price the first so many tokens of a prompt as they were charged.

    What was read from a cache comes first in a prompt, then what was written, longest lifetime
    first, then what was charged in full.
    """
    prices = _token_prices(rates)
    in_order = (*_cached_parts(prices, usage), *_behind_the_read(prices, usage))
    return _usd(_rounded(_cost(_first(in_order, first_tokens))))


def above_read_usd(rates: Rates, usage: Usage, tokens: int) -> Decimal:
    """Price what so many tokens behind the read ones cost above a read from the cache.

    Each is charged at its own rate less the rate of a cache read. Nothing can be saved where the
    price list has no such rate.
    """
    prices = _token_prices(rates)
    if not prices.has_reads:
        return Decimal(0)
    above = sum(
        taken * max(price - prices.cache_read, 0)
        for taken, price in _first(_behind_the_read(prices, usage), tokens)
    )
    return _usd(above // _STORED)


def _cached_parts(prices: _TokenPrices, usage: Usage) -> tuple[Tokens, Tokens]:
    """Give the cached tokens with their prices: text, then audio."""
    heard = min(usage.billing.cached_audio_tokens, usage.cache_read_tokens)
    return (usage.cache_read_tokens - heard, prices.cache_read), (heard, prices.cached_audio)


def _behind_the_read(prices: _TokenPrices, usage: Usage) -> tuple[Tokens, ...]:
    """Return the other input tokens with their prices, in order; audio is taken to stand last."""
    heard = min(
        max(usage.billing.input_audio_tokens - usage.billing.cached_audio_tokens, 0),
        usage.uncached_tokens,
    )
    return (
        (usage.cache_write_1h_tokens, prices.cache_write_1h),
        (usage.cache_write_5m_tokens, prices.cache_write_5m),
        (usage.uncached_tokens - heard, prices.uncached),
        (heard, prices.input_audio),
    )


def _first(parts: Iterable[Tokens], tokens: int) -> Iterator[Tokens]:
    """Return the first so many tokens of some parts, each with its price."""
    left = tokens
    for there, price in parts:
        taken = min(left, there)
        left -= taken
        yield taken, price


def _cost(parts: Iterable[Tokens]) -> int:
    """Sum tokens times their prices, exactly."""
    return sum(tokens * price for tokens, price in parts)
