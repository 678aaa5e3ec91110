"""Split a call's price into phases.

prefill $ = uncached + cache reads + cache writes; decode $ = output including reasoning; other $ =
charges per request and per search. Audio tokens have their own rates where the list has them. The
parts sum to the bill at the last stored digit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal

from phasewise_store.facts import Usage

from phasewise_analyzer.prices import Rates

LAST_DIGIT = Decimal("1e-12")
"""USD; what the store's DECIMAL(24, 12) keeps"""

_EXACT = Context(prec=60)
_MILLION = Decimal(10**6)


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


def split(rates: Rates, usage: Usage) -> Bill:
    """Price a call's tokens by phase.

    Running sums are rounded, not the parts: so no part is negative, and the sum of the parts is the
    exact bill, rounded once.
    """
    cached_parts = _cached_parts(rates, usage)
    prefill = _cost(*cached_parts, *_behind_the_read(rates, usage))
    thought = min(usage.reasoning_tokens, usage.output_tokens)
    spoken = min(usage.billing.output_audio_tokens, usage.output_tokens - thought)
    decode = _cost(
        (usage.output_tokens - thought - spoken, rates.output),
        (spoken, _or(rates.output_audio, rates.output)),
        (thought, rates.reasoning),
    )
    searches = usage.billing.web_searches * _or(rates.web_search_usd, Decimal(0))
    running = _EXACT.add(prefill, decode)
    whole = _EXACT.add(running, _EXACT.add(rates.request_usd, searches))
    sums = [
        total.quantize(LAST_DIGIT, ROUND_HALF_EVEN, _EXACT) for total in (prefill, running, whole)
    ]
    cached = _cost(*cached_parts).quantize(LAST_DIGIT, ROUND_HALF_EVEN, _EXACT)
    return Bill(sums[0], sums[1] - sums[0], sums[2] - sums[1], cached)


def _cached_parts(rates: Rates, usage: Usage) -> tuple[tuple[int, Decimal], tuple[int, Decimal]]:
    """Give the cached tokens with their rates: text, then audio, which costs no more than fresh."""
    heard = min(usage.billing.cached_audio_tokens, usage.cache_read_tokens)
    read = _or(rates.cache_read, rates.uncached)
    audio = _or(rates.cached_audio, min(read, _or(rates.input_audio, rates.uncached)))
    return (usage.cache_read_tokens - heard, read), (heard, audio)


def _or(rate: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if rate is None else rate


def charged_usd(rates: Rates, usage: Usage, first_tokens: int) -> Decimal:
    """Price the first so many tokens of a prompt as they were charged.

    What was read from a cache comes first in a prompt, then what was written, longest lifetime
    first, then what was charged in full.
    """
    in_order = (*_cached_parts(rates, usage), *_behind_the_read(rates, usage))
    charged = _cost(*_first(in_order, first_tokens))
    return charged.quantize(LAST_DIGIT, ROUND_HALF_EVEN, _EXACT)


def above_read_usd(rates: Rates, usage: Usage, tokens: int) -> Decimal:
    """Price what so many tokens behind the read ones cost above a read from the cache.

    Each is charged at its own rate less the rate of a cache read. Nothing can be saved where the
    price list has no such rate.
    """
    if rates.cache_read is None:
        return Decimal(0)
    above = (
        (taken, max(rate - rates.cache_read, Decimal(0)))
        for taken, rate in _first(_behind_the_read(rates, usage), tokens)
    )
    return _cost(*above).quantize(LAST_DIGIT, ROUND_DOWN, _EXACT)


def _behind_the_read(rates: Rates, usage: Usage) -> tuple[tuple[int, Decimal], ...]:
    """Return the other input tokens with their rates, in order; audio is taken to stand last."""
    heard = min(
        max(usage.billing.input_audio_tokens - usage.billing.cached_audio_tokens, 0),
        usage.uncached_tokens,
    )
    return (
        (usage.cache_write_1h_tokens, rates.cache_write_1h),
        (usage.cache_write_5m_tokens, rates.cache_write_5m),
        (usage.uncached_tokens - heard, rates.uncached),
        (heard, _or(rates.input_audio, rates.uncached)),
    )


def _first(parts: Iterable[tuple[int, Decimal]], tokens: int) -> Iterator[tuple[int, Decimal]]:
    """Return the first so many tokens of some parts, each with its rate."""
    left = tokens
    for there, rate in parts:
        taken = min(left, there)
        left -= taken
        yield taken, rate


def _cost(*parts: tuple[int, Decimal]) -> Decimal:
    """Sum tokens times USD per million tokens, exactly."""
    total = Decimal(0)
    for tokens, rate in parts:
        total = _EXACT.fma(Decimal(tokens), rate, total)
    return _EXACT.divide(total, _MILLION)
