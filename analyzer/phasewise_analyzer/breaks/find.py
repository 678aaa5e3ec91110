"""Find the calls that read again what had been sent before, with the cause and the price of each.

Two things are looked for. A prompt that parts from the one it should go on from: what both could
have shared is lost (`content_breaks`). And a prompt that does go on, of which the provider's cache
still served less than it had been sent: the difference is lost (`misses`). `phasewise breaks` and
its page show the result.
"""

from collections.abc import Sequence
from decimal import Decimal

import polars as pl
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer.breaks import agreement, compared, content_breaks, misses
from phasewise_analyzer.breaks.facts import Breaks
from phasewise_analyzer.breaks.grouping import findings
from phasewise_analyzer.caches import predictions
from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.caches.predictions import Step
from phasewise_analyzer.caches.requests import Requests


def find(
    store: Store, book: Book, scope: Scope = EVERYTHING, *, step: Step | None = None
) -> Breaks:
    """Return the breaks of all calls in scope; their costs must have been analysed."""
    requests = Requests(store, scope)
    calls = compared.all_of(requests)
    found = content_breaks.find(store, calls)
    broken = {row for row, _ in found}
    found += misses.find(calls, predictions.predict(requests, book, step=step), broken)
    found.sort(key=lambda one: one[0])
    breaks = tuple(one for _, one in found)
    diagnosed, agreed = agreement.score(calls, found)
    wasteful = [one for one in breaks if one.cause.wasteful]
    wasted = sum(one.lost_tokens for one in wasteful)
    known = requests.tree.leaf >= 0
    input_tokens = int(requests.calls["input_tokens"].sum())
    with_prompt = requests.calls.filter(pl.Series(known))
    has_prices = requests.calls["missed_usd"].is_not_null().any()
    return Breaks(
        calls=with_prompt.height,
        input_tokens=input_tokens,
        prefill_usd=_sum(requests.calls["prefill_usd"].to_list()),
        findings=findings(breaks, _span_s(with_prompt)),
        breaks=breaks,
        deep_breaks=int(calls.is_deep.sum()),
        wasted_tokens=wasted,
        wasted_usd=_sum([*(one.lost_usd for one in wasteful), Decimal(0) if has_prices else None]),
        waste=min(1.0, wasted / input_tokens) if input_tokens else 0.0,
        diagnosed_calls=diagnosed,
        agreed_calls=agreed,
    )


def _sum(values: Sequence[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None


def _span_s(calls: pl.DataFrame) -> float | None:
    """Return the time from the first to the last start; None where there are no times."""
    starts: list[int] = calls["started_ns"].drop_nulls().to_list()
    return (max(starts) - min(starts)) / 1e9 if starts else None
