"""The cost of one call, and its basis: the price list, the source's own report, or none.

In this order: a response from the client's own cache costs what the source reports, else nothing;
then the listed price of the call's day with the terms of its tier; then the cost that the source
reports, which cannot be split and counts as other $. A call without any of these has no price,
which is not 0.
"""

from dataclasses import dataclass
from decimal import Decimal

from phasewise_store.facts import Usage

from phasewise_analyzer import bill, price_terms
from phasewise_analyzer.bill import LAST_DIGIT, Bill
from phasewise_analyzer.prices import FIRST_DATE_NS, FREE, Price, PriceBook, Rates

REPORTED = "reported"
NOBODY_ASKED = "the client's own cache answered"


@dataclass(frozen=True, slots=True)
class Call:
    """What a price depends on."""

    provider: str | None
    model: str | None
    usage: Usage
    at_ns: int | None = None
    reported_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """The price of one call and where it comes from."""

    bill: Bill | None
    """None where nobody knows it"""
    source: str | None = None
    """price list and terms, `reported`, or why there is no price"""
    ref: str | None = None
    """seller/model as the price list names them"""
    rates: Rates | None = None
    """None where the bill was not made of rates"""


def charge(call: Call, book: PriceBook) -> Charge:
    """Price a call."""
    billing = call.usage.billing
    reported = call.reported_usd
    if billing.response_cache_hit and not reported:
        return Charge(bill.split(FREE, Usage()), NOBODY_ASKED, rates=FREE)
    by_list = _by_list(call, book)
    counted = call.usage.origin != "absent"
    if by_list.bill is not None and (counted or not reported):
        return by_list
    if reported:
        return Charge(_unsplit(Decimal(str(reported))), REPORTED, by_list.ref)
    return by_list


def _by_list(call: Call, book: PriceBook) -> Charge:
    usage = call.usage
    price = book.price(call.provider, call.model, input_tokens=usage.input_tokens, at_ns=call.at_ns)
    if price is None:
        return Charge(None)
    dated = call.at_ns if call.at_ns is not None and call.at_ns >= FIRST_DATE_NS else None
    terms = price_terms.terms_of(usage.billing, price.ref, dated)
    if terms.unknown:
        return Charge(None, f"no price: {' and '.join(terms.unknown)} of {price.ref}", price.ref)
    rates = price.rates.times(terms.factor) if terms.names else price.rates
    searches = usage.billing.web_searches
    if searches and rates.web_search_usd is None and rates != FREE:
        return Charge(None, f"no price: a web search of {price.ref}", price.ref)
    others = _others(call, book)
    if others is None:
        return Charge(None, f"no price: another model inside {price.ref}", price.ref)
    parts = bill.split(rates, usage)
    parts = Bill(parts.prefill_usd, parts.decode_usd, parts.other_usd + others, parts.cached_usd)
    return Charge(parts, _source(price, terms.names), price.ref, rates)


def _others(call: Call, book: PriceBook) -> Decimal | None:
    """Price the models that worked inside the call; None where one of them has no price."""
    total = Decimal(0)
    for other in call.usage.billing.other_models:
        model = other.model or call.model
        found = _by_list(Call(call.provider, model, other.usage, call.at_ns), book)
        if found.bill is None:
            return None
        total += found.bill.total_usd
    return total


def _source(price: Price, terms: tuple[str, ...]) -> str:
    return "; ".join((price.source, *terms))


def _unsplit(usd: Decimal) -> Bill:
    nothing = Decimal(0).quantize(LAST_DIGIT)
    return Bill(nothing, nothing, usd.quantize(LAST_DIGIT), nothing)
