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
    """Give the bar of a row in a view; empty where nothing is known."""
    if view == "tokens":
        fresh = row.input_tokens - row.cache_read_tokens
        return split(row.cache_read_tokens, fresh, row.output_tokens)
    if view == "price":
        if row.prefill_usd is None:
            return ()
        cached = row.cached_usd or 0
        read = row.prefill_usd - cached
        return split(float(cached), float(read), float(row.decode_usd or 0))
    if row.prefill_ns is None:
        return ()
    cached_ns = row.cached_ns or 0
    fresh_ns = row.prefill_ns - cached_ns if isinstance(row, Totals) else row.prefill_ns
    return split(cached_ns, fresh_ns, row.decode_ns or 0, row.other_ns or 0)
