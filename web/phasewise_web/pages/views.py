"""The three views of a cost split, never mixed: price, time (the caller's wait), tokens."""

from collections.abc import Mapping
from typing import Literal, cast

from phasewise_analyzer.findings import Step, Totals
from phasewise_reports.charts import Part, split

View = Literal["price", "time", "tokens"]

TITLES: Mapping[View, str] = {
    "price": "price by the provider's list, USD",
    "time": "the caller's wait, s",
    "tokens": "tokens",
}


def view_of(word: str | None) -> View:
    """Read a view from an address, which was checked; price where it names none."""
    return cast("View", word or "price")


def parts(view: View, row: Totals | Step) -> tuple[Part, ...]:
    """Return the bar of a row in a view; empty where nothing is known.

    Cached tokens take next to no time, so the caller's wait has no cached part.
    """
    if view == "tokens":
        fresh = row.input_tokens - row.cache_read_tokens - row.unreported_tokens
        return split(
            cached=row.cache_read_tokens,
            prefill=fresh,
            unreported=row.unreported_tokens,
            decode=row.output_tokens,
        )
    if view == "price":
        if row.prefill_usd is None:
            return ()
        cached, unreported = row.cached_usd or 0, row.unreported_usd or 0
        return split(
            cached=float(cached),
            prefill=float(row.prefill_usd - cached - unreported),
            unreported=float(unreported),
            decode=float(row.decode_usd or 0),
        )
    if row.prefill_ns is None:
        return ()
    return split(prefill=row.prefill_ns, decode=row.decode_ns or 0, other=row.other_ns or 0)
