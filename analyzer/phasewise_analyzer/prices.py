"""Prices of a call's tokens at the time of the call, from the `genai-prices` package; no network.

The only module that uses `genai-prices`. Rates are resolved to plain numbers (by date and size
tier, falling back from an unlisted rate to the next more general one, as the package itself does)
and stored with every priced row, so that a row stays explainable when the package changes.
"""

import importlib.metadata
import json
import time
from bisect import bisect_left
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices
from phasewise_collector.usage import sellers

DATED = f"genai-prices {importlib.metadata.version('genai-prices')}"
UNDATED = f"{DATED}, newest price: the call has no date"

FIRST_DATE_NS = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()) * 10**9
"""no model was sold by the token before; an earlier time is a trace's own clock, not a date"""

REMEMBERED = 256
"""rates that are written and read once, and then given again: a data set has few"""


@dataclass(frozen=True, slots=True)
class Rates:
    """What one call's tokens cost: USD per million tokens of each kind, and USD a request."""

    uncached: Decimal
    cache_read: Decimal | None
    """None where the list has no rate for cached tokens: they then cost the full rate"""
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    output: Decimal
    reasoning: Decimal
    request_usd: Decimal = Decimal(0)
    input_audio: Decimal | None = None
    """None where audio costs what text does"""
    cached_audio: Decimal | None = None
    output_audio: Decimal | None = None
    web_search_usd: Decimal | None = None
    """USD a search that the provider runs; None where the list has no price for it"""

    def times(self, factor: Fraction) -> "Rates":
        """Return the rates of a tier at which every token costs so many times as much."""
        changed = {
            name: rate * factor.numerator / factor.denominator
            for name in _PER_TOKEN
            if (rate := getattr(self, name)) is not None
        }
        return replace(self, **changed)

    def as_json(self) -> str:
        """Write the rates as JSON; decimals are strings, so that no digit is lost."""
        return _as_json(self)

    @classmethod
    def from_json(cls, written: str) -> "Rates":
        """Read what `as_json` wrote."""
        return _from_json(written)


@lru_cache(maxsize=REMEMBERED)
def _as_json(rates: Rates) -> str:
    values = {name: getattr(rates, name) for name in Rates.__slots__}
    return json.dumps(
        {
            name: None if rate is None else str(rate)
            for name, rate in values.items()
            if rate is not None or name in _ALWAYS
        }
    )


@lru_cache(maxsize=REMEMBERED)
def _from_json(written: str) -> Rates:
    rates: dict[str, str | None] = json.loads(written)
    known = {name: None if rate is None else Decimal(rate) for name, rate in rates.items()}
    return Rates(**known)  # type: ignore[arg-type]  # only `cache_read` is written as null


_PER_TOKEN = (
    *("uncached", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"),
    *("input_audio", "cached_audio", "output_audio"),
)
_ALWAYS = ("cache_read",)
"""written also where there is no such rate"""

FREE = Rates(*(Decimal(0) for _ in range(6)))
"""of a model that is listed as free, and of answers that no provider was asked for"""


@dataclass(frozen=True, slots=True)
class Price:
    """Rates and where they come from."""

    rates: Rates
    source: str
    """package and version, and whether the call's date was known"""
    ref: str
    """provider/model as the price list names them"""


@dataclass(frozen=True, slots=True)
class InputPrice:
    """The price of one call that only reads."""

    usd: Decimal
    source: str
    ref: str


class PriceBook:
    """Looks up rates; remembers what it found, since a trace asks for few models many times."""

    def __init__(self, *, now_ns: int | None = None, snapshot: DataSnapshot | None = None) -> None:
        self._snapshot = snapshot or get_snapshot()
        self._now = _noon(time.time_ns() if now_ns is None else now_ns)
        self._found: dict[tuple[str | None, str], tuple[Provider, ModelInfo] | None] = {}
        self._tiers: dict[int, tuple[ModelPrice, list[int], dict[int, Rates | None]]] = {}

    def price(
        self, provider: str | None, model: str | None, *, input_tokens: int, at_ns: int | None
    ) -> Price | None:
        """Give the rates of a call of this size at this time; None where the list has no price."""
        found = self._listed(provider, model, at_ns)
        if found is None:
            return None
        listed, source, ref = found
        rates = self._rates(listed, input_tokens)
        return None if rates is None else Price(rates, source, ref)

    def input_price(
        self, provider: str | None, model: str | None, *, input_tokens: int, at_ns: int | None
    ) -> InputPrice | None:
        """Price a call that only reads, as embeddings do; None where the list has no such price."""
        found = self._listed(provider, model, at_ns)
        if found is None or not input_tokens:
            return None
        listed, source, ref = found
        rate = Decimal(0) if listed == ModelPrice() else _rate(listed, input_tokens, "input_mtok")
        if rate is None:
            return None
        return InputPrice(rate * input_tokens / 10**6, source, ref)

    def _listed(
        self, provider: str | None, model: str | None, at_ns: int | None
    ) -> tuple[ModelPrice, str, str] | None:
        """Return the list's entry of that day, with its source and its name."""
        if model is None:
            return None
        key = (provider, model)
        if key not in self._found:
            self._found[key] = sellers.listed(provider, model, self._snapshot)
        found = self._found[key]
        if found is None:
            return None
        seller, info = found
        dated = at_ns is not None and at_ns >= FIRST_DATE_NS
        at = datetime.fromtimestamp(at_ns / 10**9, UTC) if dated and at_ns else self._now
        return info.get_prices(at), DATED if dated else UNDATED, f"{seller.id}/{info.id}"

    def _rates(self, listed: ModelPrice, input_tokens: int) -> Rates | None:
        """Resolve the size tiers: a prompt above a threshold pays the dearer rate as a whole."""
        if id(listed) not in self._tiers:
            values = [value for value in vars(listed).values() if isinstance(value, TieredPrices)]
            starts = sorted({tier.start for value in values for tier in value.tiers})
            self._tiers[id(listed)] = (listed, starts, {})
        _, starts, known = self._tiers[id(listed)]
        tier = bisect_left(starts, input_tokens)
        if tier not in known:
            known[tier] = _resolve(listed, input_tokens)
        return known[tier]


def _noon(at_ns: int) -> datetime:
    """Return noon of that day: some prices have peak hours, and an undated call has no hour."""
    day = datetime.fromtimestamp(at_ns / 10**9, UTC)
    return day.replace(hour=12, minute=0, second=0, microsecond=0)


def _rate(listed: ModelPrice, input_tokens: int, *names: str) -> Decimal | None:
    """Return the first listed rate of these names for a prompt of this size."""
    values = (getattr(listed, name) for name in names)
    value = next((value for value in values if value is not None), None)
    if not isinstance(value, TieredPrices):
        return value
    above = [tier.price for tier in value.tiers if input_tokens > tier.start]
    return above[-1] if above else value.base


def _resolve(listed: ModelPrice, input_tokens: int) -> Rates | None:
    """Return plain rates for a prompt of this size, each from its own or the next general entry."""

    def rate(*names: str) -> Decimal | None:
        return _rate(listed, input_tokens, *names)

    if listed == ModelPrice():
        return FREE
    uncached, output = rate("input_mtok"), rate("output_mtok")
    if uncached is None or output is None:
        return None  # sold by the image, the hour or the character: not by what a call reports
    read = rate("cache_read_mtok")
    write_5m = rate("cache_write_5m_mtok", "cache_write_mtok")
    write_1h = rate("cache_write_1h_mtok", "cache_write_mtok")
    reasoning = rate("output_reasoning_mtok")
    thousand_requests, thousand_searches = rate("requests_kcount"), rate("web_searches_kcount")
    audio = rate("input_audio_mtok")
    cached_audio = rate("cache_audio_read_mtok")
    return Rates(
        uncached=uncached,
        # a list with a dearer read than input is in error (one was: deepseek at OpenRouter)
        cache_read=None if read is None else min(read, uncached),
        cache_write_5m=uncached if write_5m is None else write_5m,
        cache_write_1h=uncached if write_1h is None else write_1h,
        output=output,
        reasoning=output if reasoning is None else reasoning,
        request_usd=Decimal(0) if thousand_requests is None else thousand_requests / 1000,
        input_audio=audio,
        cached_audio=None if cached_audio is None else min(cached_audio, audio or uncached),
        output_audio=rate("output_audio_mtok"),
        web_search_usd=None if thousand_searches is None else thousand_searches / 1000,
    )
