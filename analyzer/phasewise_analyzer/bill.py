"""Split a call's price into phases.

prefill$ = uncached + cache reads + cache writes, decode$ = output with its reasoning, other$ = what
is charged by the request. The parts sum to the bill at the last digit kept.
"""

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
    read = rates.uncached if rates.cache_read is None else rates.cache_read
    prefill = _cost(
        (usage.uncached_tokens, rates.uncached),
        (usage.cache_read_tokens, read),
        (usage.cache_write_5m_tokens, rates.cache_write_5m),
        (usage.cache_write_1h_tokens, rates.cache_write_1h),
    )
    thought = min(usage.reasoning_tokens, usage.output_tokens)
    decode = _cost((usage.output_tokens - thought, rates.output), (thought, rates.reasoning))
    sums = [
        total.quantize(LAST_DIGIT, ROUND_HALF_EVEN, _EXACT)
        for total in (
            prefill,
            _EXACT.add(prefill, decode),
            _EXACT.add(_EXACT.add(prefill, decode), rates.request_usd),
        )
    ]
    cached = _cost((usage.cache_read_tokens, read)).quantize(LAST_DIGIT, ROUND_DOWN, _EXACT)
    return Bill(sums[0], sums[1] - sums[0], sums[2] - sums[1], cached)


def avoidable_usd(rates: Rates, usage: Usage, avoidable_tokens: int) -> Decimal:
    """Price what re-reading costs: tokens an earlier call had sent, yet not read from a cache.

    They stand right behind the tokens that were read from the cache. A provider that bills writes
    bills them from there on, those that live longest first, and the rest of the prompt as uncached;
    each is charged at its own rate less the rate of a cache read. Nothing can be saved where the
    price list has no such rate.
    """
    if rates.cache_read is None:
        return Decimal(0)
    left = avoidable_tokens
    saved = Decimal(0)
    for tokens, rate in (
        (usage.cache_write_1h_tokens, rates.cache_write_1h),
        (usage.cache_write_5m_tokens, rates.cache_write_5m),
        (usage.uncached_tokens, rates.uncached),
    ):
        taken = min(left, tokens)
        left -= taken
        saved = _EXACT.add(saved, _cost((taken, max(rate - rates.cache_read, Decimal(0)))))
    return saved.quantize(LAST_DIGIT, ROUND_DOWN, _EXACT)


def _cost(*parts: tuple[int, Decimal]) -> Decimal:
    """Sum tokens times USD per million tokens, exactly."""
    total = Decimal(0)
    for tokens, rate in parts:
        total = _EXACT.fma(Decimal(tokens), rate, total)
    return _EXACT.divide(total, _MILLION)
