"""All prices that `genai-prices` has ever listed for a model, for reading a recorded bill."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from phasewise_collector.importers.model_names import provider_of
from phasewise_collector.usage import sellers


@dataclass(frozen=True, slots=True)
class Rates:
    """What tokens cost: USD per million tokens."""

    input_usd: Decimal
    output_usd: Decimal
    cache_read_usd: Decimal | None
    """None where cached tokens are billed as any other"""


def listed_at(provider: str | None, model: str, at_ns: int) -> Rates | None:
    """Return the rates that the provider's list had for the model at that time."""
    found = sellers.listed(provider, model)
    if found is None:
        return None
    return _rates(found[1].get_prices(datetime.fromtimestamp(at_ns / 10**9, UTC)))


def ever_listed(provider: str | None, model: str) -> tuple[Rates, ...]:
    """Return every rate that any provider's list has, or had, for the model."""
    sellers = {provider, provider_of(model)} - {None}
    names = {model.lower()} | {f"{seller}/{model}".lower() for seller in sellers}
    found = {
        rates: None
        for listed in get_snapshot().providers
        for info in listed.models
        if any(info.is_match(name) for name in names)
        for price in _prices(info)
        if (rates := _rates(price)) is not None
    }
    return tuple(found)


def _prices(info: ModelInfo) -> Iterator[ModelPrice]:
    if isinstance(info.prices, ModelPrice):
        yield info.prices
    else:
        yield from (one.prices for one in info.prices)


def _rates(price: ModelPrice) -> Rates | None:
    read, written, cached = map(_base, (price.input_mtok, price.output_mtok, price.cache_read_mtok))
    if read is None or written is None:
        return None
    return Rates(read, written, cached)


def _base(value: Decimal | TieredPrices | None) -> Decimal | None:
    """Return the price of a prompt below the first size tier."""
    return value.base if isinstance(value, TieredPrices) else value
