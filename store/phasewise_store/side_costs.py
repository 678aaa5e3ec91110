"""Embeddings and rerankings that wait for a price, and the prices of those that have one."""

import polars as pl

from phasewise_store import cells
from phasewise_store.arrow import ArrowTable
from phasewise_store.statements import run
from phasewise_store.store import Store

PRICES: dict[str, pl.DataType] = {
    "side_call_id": pl.String(),
    "usd": pl.Decimal(24, 12),
    "price_source": pl.String(),
    "price_ref": pl.String(),
}


def unpriced(store: Store) -> pl.DataFrame:
    """Return the side calls that were not priced yet: the columns of `side_calls`."""
    return store.frame("SELECT * FROM side_calls WHERE price_source IS NULL")


def of_session(store: Store, session_id: str) -> pl.DataFrame:
    """Return the side calls of a session by start: columns of `side_calls`, and `agent` (role)."""
    return store.frame(
        "SELECT x.*, a.name AS agent FROM side_calls x LEFT JOIN agents a USING (agent_id) "
        "WHERE x.session_id = $session_id ORDER BY x.started_ns, x.side_call_id",
        {"session_id": session_id},
    )


def save(store: Store, prices: pl.DataFrame) -> None:
    """Keep prices; the frame has the columns `PRICES`, of which `price_source` is never null."""
    with store.transaction() as connection:
        connection.register("priced", ArrowTable(prices))
        try:
            priced = run(
                connection,
                "UPDATE side_calls SET usd = p.usd, price_source = p.price_source, "
                "price_ref = p.price_ref FROM priced p "
                "WHERE side_calls.side_call_id = p.side_call_id RETURNING side_calls.session_id",
            )
            cells.mark(connection, {str(name) for (name,) in priced})
        finally:
            connection.unregister("priced")
