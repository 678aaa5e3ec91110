"""Count tokens by what they cost, and price them once at the end: exact, whatever the order.

usd of a kind = sum of tokens x rate / 1,000,000, over the rates that its calls were charged at
"""

from collections import Counter
from decimal import Context, Decimal
from typing import Literal

from phasewise_analyzer.caches.policy import HOUR_S, Policy
from phasewise_analyzer.caches.prompt_cache import Served
from phasewise_analyzer.prices import Rates
from phasewise_analyzer.whatif.facts import Money, Spent

Kind = Literal["read", "written", "uncached", "output"]

_EXACT = Context(prec=60)
_MILLION = Decimal(10**6)


class Meter:
    """Takes in one call after another."""

    def __init__(self) -> None:
        self._charged: Counter[tuple[Kind, Decimal]] = Counter()
        self._written: Counter[str] = Counter()
        self._tokens: Counter[Kind] = Counter()
        self._requests: Counter[Decimal] = Counter()
        self._storage_usd = Decimal(0)
        self.calls = 0
        self.priced = 0

    def take(
        self,
        served: Served,
        tokens: int,
        answer: tuple[int, int],
        rates: Rates | None,
        policy: Policy | None,
    ) -> None:
        """Take one call: what was served of its prompt, output and reasoning tokens, rates."""
        output, reasoning = answer
        uncached = served.uncached(tokens)
        self.calls += 1
        self._tokens.update({"read": served.read, "uncached": uncached, "output": output})
        self._written.update(served.written)
        if rates is None:
            return
        self.priced += 1
        read_rate = rates.uncached if rates.cache_read is None else rates.cache_read
        thought = min(reasoning, output)
        self._charged["read", read_rate] += served.read
        self._charged["uncached", rates.uncached] += uncached
        self._charged["output", rates.output] += output - thought
        self._charged["output", rates.reasoning] += thought
        for lifetime, written in served.written.items():
            self._charged["written", write_rate(rates, policy, lifetime)] += written
        self._requests[rates.request_usd] += 1
        if policy is not None and policy.storage_usd_mtok_hour is not None:
            hours = Decimal(served.stored_token_hours)
            self._storage_usd = _EXACT.add(
                self._storage_usd,
                _EXACT.divide(_EXACT.multiply(hours, policy.storage_usd_mtok_hour), _MILLION),
            )

    def spent(self) -> Spent:
        """Return the tokens so far."""
        tokens = self._tokens
        return Spent(tokens["read"], dict(self._written), tokens["uncached"], tokens["output"])

    def money(self) -> Money | None:
        """Return what they cost; None where no call had a price."""
        if not self.priced:
            return None
        return Money(
            read_usd=self._usd("read"),
            written_usd=self._usd("written"),
            uncached_usd=self._usd("uncached"),
            storage_usd=self._storage_usd,
            output_usd=self._usd("output"),
            request_usd=sum((rate * n for rate, n in self._requests.items()), Decimal(0)),
        )

    def _usd(self, kind: Kind) -> Decimal:
        total = Decimal(0)
        for (one, rate), tokens in self._charged.items():
            if one == kind:
                total = _EXACT.fma(Decimal(tokens), rate, total)
        return _EXACT.divide(total, _MILLION)


def write_rate(rates: Rates, policy: Policy | None, lifetime: str) -> Decimal:
    """Return the rate of a write; price lists know two, for an hour and for less."""
    is_long = policy is not None and policy.is_long(lifetime)
    return rates.cache_write_1h if is_long else rates.cache_write_5m


def filled(rates: Rates, policy: Policy) -> Rates:
    """Put a policy's multipliers where the price list has no rate of its own.

    A list without a rate for writes shows the input's, and one without a rate for an hour shows
    that for less: a multiplier then says more.
    """
    read = rates.cache_read
    if read is None and policy.read_multiplier is not None:
        read = rates.uncached * policy.read_multiplier
    listed_5m, listed_1h = rates.cache_write_5m, rates.cache_write_1h
    if not policy.writes_charged or not policy.write_multipliers:
        return _with(rates, read, listed_5m, listed_1h)
    short, long = _multiplied(rates.uncached, policy)
    return _with(
        rates,
        read,
        short if listed_5m == rates.uncached else listed_5m,
        long if listed_1h in (rates.uncached, listed_5m) else listed_1h,
    )


def by_multipliers(rates: Rates, policy: Policy) -> Rates:
    """Price a policy of another seller at this input price and the policy's own multipliers."""
    read = None
    if policy.read_multiplier is not None:
        read = rates.uncached * policy.read_multiplier
    return _with(rates, read, *_multiplied(rates.uncached, policy))


def _multiplied(uncached: Decimal, policy: Policy) -> tuple[Decimal, Decimal]:
    """Return the rates of a short and of a long write by a policy's multipliers."""
    shares = policy.write_multipliers if policy.writes_charged else {}
    short = [share for name, share in shares.items() if policy.lifetime_s(name) < HOUR_S]
    long = [share for name, share in shares.items() if policy.lifetime_s(name) >= HOUR_S]
    one = Decimal(1)
    return uncached * min(short or long or [one]), uncached * max(long or short or [one])


def _with(rates: Rates, read: Decimal | None, short: Decimal, long: Decimal) -> Rates:
    return Rates(
        uncached=rates.uncached,
        cache_read=read,
        cache_write_5m=short,
        cache_write_1h=long,
        output=rates.output,
        reasoning=rates.reasoning,
        request_usd=rates.request_usd,
    )
