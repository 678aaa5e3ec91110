"""Prices of embedding and reranking calls: by the list of their day, else as reported."""

from decimal import ROUND_HALF_EVEN, Decimal

import polars as pl
from phasewise_store import side_costs
from phasewise_store.store import Store

from phasewise_analyzer.bill import LAST_DIGIT
from phasewise_analyzer.charges import REPORTED
from phasewise_analyzer.prices import PriceBook

UNPRICED = "no price known"
Row = dict[str, object]


def price(store: Store, book: PriceBook) -> None:
    """Price every side call that was not priced yet."""
    waiting = side_costs.unpriced(store)
    if waiting.height:
        rows = [_priced(row, book) for row in waiting.iter_rows(named=True)]
        side_costs.save(store, pl.DataFrame(rows, schema=side_costs.PRICES))


def _priced(row: Row, book: PriceBook) -> Row:
    provider, model, tokens, at_ns, reported = (
        row[name]
        for name in ("provider", "model", "input_tokens", "started_ns", "reported_cost_usd")
    )
    found = book.input_price(
        provider if isinstance(provider, str) else None,
        model if isinstance(model, str) else None,
        input_tokens=tokens if isinstance(tokens, int) else 0,
        at_ns=at_ns if isinstance(at_ns, int) else None,
    )
    usd: Decimal | None = None
    source, ref = UNPRICED, None
    if found is not None:
        usd, source, ref = found.usd, found.source, found.ref
    elif isinstance(reported, float) and reported:
        usd, source = Decimal(str(reported)), REPORTED
    return {
        "side_call_id": row["side_call_id"],
        "usd": None if usd is None else usd.quantize(LAST_DIGIT, ROUND_HALF_EVEN),
        "price_source": source,
        "price_ref": ref,
    }
