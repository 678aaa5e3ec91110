"""Recover from what calls cost how many of their prompt tokens the provider served from its cache.

cached = (prompt x input rate + output x output rate - cost) / (input rate - cached rate)

With the rates that the bill was made with this is a whole number between 0 and the prompt on every
call; with any other it is not, so the numbers prove the rates. Nothing is recovered unless *all*
calls of a model agree. The rates are looked for, in this order, among
1. what the provider's list had at the time of the calls;
2. what any provider's list has, or had, for the model;
3. input and output rates read off the bill itself (the calls without a cache hit cost exactly
   that), with a cached rate of 2, as listed or raised in the same proportion as the others: a
   region of Azure costs a tenth more than the list, on all rates or on some.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from phasewise_collector.importers.price_list import Rates, ever_listed, listed_at

PROOF_CALLS = 8
"""so many calls must agree on rates that no list had at the time"""

_PAIRED_CALLS = 150
"""calls that rates are read off: those with the smallest prompts are the least cached"""

_LIKELY = 4
"""rates read off the bill that are tried: wrong ones rarely come out twice"""

_TOLERANCE_TOKENS = 1e-6
"""costs are recorded as binary floating point; its error is far below a millionth of a token"""


@dataclass(frozen=True, slots=True)
class Bill:
    """What one call read, wrote and cost."""

    prompt_tokens: int
    output_tokens: int
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Recovered:
    """The cached tokens of each call, and the rates that prove them."""

    cached_tokens: tuple[int, ...]
    rates: Rates


def recover(
    bills: Sequence[Bill], *, provider: str | None, model: str, at_ns: int
) -> Recovered | None:
    """Return the cached tokens of one model's calls; None where no rates explain every cost.

    Also None where rates that disagree on the tokens explain them equally well.
    """
    now = listed_at(provider, model, at_ns)
    if now is not None and (found := _explained(bills, now)) is not None:
        return found
    if len(bills) < PROOF_CALLS:
        return None
    ever = ever_listed(provider, model)
    for candidates in (ever, _read_off(bills, ever)):
        fits = [found for rates in candidates if (found := _explained(bills, rates)) is not None]
        if len({found.cached_tokens for found in fits}) > 1:
            return None
        if fits:
            return fits[0]
    return None


def _explained(bills: Iterable[Bill], rates: Rates) -> Recovered | None:
    """Return the cached tokens if these rates explain every cost with whole ones."""
    read, written = float(rates.input_usd), float(rates.output_usd)
    cached = read if rates.cache_read_usd is None else float(rates.cache_read_usd)
    discount = read - cached
    found: list[int] = []
    for bill in bills:
        missing = bill.prompt_tokens * read + bill.output_tokens * written - bill.cost_usd * 1e6
        tokens = missing / discount if discount > 0 else missing
        whole = round(tokens)
        limit = bill.prompt_tokens if discount > 0 else 0
        if abs(tokens - whole) > _TOLERANCE_TOKENS or not 0 <= whole <= limit:
            return None
        found.append(whole)
    return Recovered(tuple(found), rates)


def _read_off(bills: Sequence[Bill], ever: Sequence[Rates]) -> Iterator[Rates]:
    """Return likely rates: input and output off the bill, cached from the lists."""
    for read, written in _full_rates(bills):
        cached: dict[Decimal | None, None] = {}
        for rates in ever:
            cached[rates.cache_read_usd] = None
            if rates.cache_read_usd is not None and rates.input_usd:
                cached[rates.cache_read_usd * read / rates.input_usd] = None
        yield from (Rates(read, written, rate) for rate in cached or {None: None})


def _full_rates(bills: Sequence[Bill]) -> Iterator[tuple[Decimal, Decimal]]:
    """Solve pairs of calls for the two rates; those without a cache hit all give the same."""
    votes: Counter[tuple[float, float]] = Counter()
    smallest = sorted(bills, key=lambda bill: bill.prompt_tokens)[:_PAIRED_CALLS]
    for one, two in combinations(smallest, 2):
        size = one.prompt_tokens * two.output_tokens - two.prompt_tokens * one.output_tokens
        if not size:
            continue
        read = one.cost_usd * two.output_tokens - two.cost_usd * one.output_tokens
        written = one.prompt_tokens * two.cost_usd - two.prompt_tokens * one.cost_usd
        rates = round(read * 1e6 / size, 6), round(written * 1e6 / size, 6)
        if min(rates) > 0:
            votes[rates] += 1
    for (read_usd, written_usd), _ in votes.most_common(_LIKELY):
        yield Decimal(str(read_usd)), Decimal(str(written_usd))
