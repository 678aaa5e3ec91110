"""The analyzer's costs per call, stored so that pages read them instead of computing them again."""

import duckdb
import polars as pl

from phasewise_store.arrow import to_frame
from phasewise_store.statements import insert_frame
from phasewise_store.store import Store

_MONEY = pl.Decimal(24, 12)

COSTS: dict[str, pl.DataType] = {
    "call_id": pl.String(),
    "prefill_usd": _MONEY,
    "prefill_low_usd": _MONEY,
    "prefill_high_usd": _MONEY,
    "cached_usd": _MONEY,
    "unreported_usd": _MONEY,
    "missed_usd": _MONEY,
    "decode_usd": _MONEY,
    "other_usd": _MONEY,
    "price_source": pl.String(),
    "price_ref": pl.String(),
    "rates": pl.String(),
    "sent_before_tokens": pl.Int64(),
    "missed_tokens": pl.Int64(),
    "unreported_tokens": pl.Int64(),
    "billed_read_tokens": pl.Int64(),
    "billed_write_5m_tokens": pl.Int64(),
    "billed_write_1h_tokens": pl.Int64(),
    "prefill_ns": pl.Int64(),
    "prefill_low_ns": pl.Int64(),
    "prefill_high_ns": pl.Int64(),
    "saved_ns": pl.Int64(),
    "decode_ns": pl.Int64(),
    "other_ns": pl.Int64(),
    "latency_basis": pl.String(),
}
"""the columns of `call_costs`; what each means stands in the schema"""


def save(store: Store, costs: pl.DataFrame) -> None:
    """Replace the costs of these calls; the frame has the columns `COSTS`."""
    with store.transaction() as connection:
        insert_frame(connection, "call_costs", costs.select(list(COSTS)), "INSERT OR REPLACE")


def unanalysed(store: Store) -> pl.DataFrame:
    """Count the calls without costs: columns `source` (data set name) and `calls`."""
    return store.frame(
        "SELECT s.name AS source, count(*) AS calls "
        "FROM llm_calls c JOIN sources s USING (source_id) "
        "WHERE NOT EXISTS (SELECT 1 FROM call_costs k WHERE k.call_id = c.call_id) "
        "GROUP BY s.name ORDER BY s.name"
    )


def outdated(store: Store, version: str) -> pl.DataFrame:
    """Count the calls of data sets that this version did not analyse: `source` and `calls`."""
    return store.frame(
        "SELECT s.name AS source, count(*) AS calls "
        "FROM llm_calls c JOIN sources s USING (source_id) "
        "WHERE s.name NOT IN (SELECT source FROM analysed_sources WHERE version = $version) "
        "GROUP BY s.name ORDER BY s.name",
        {"version": version},
    )


def forgotten(connection: duckdb.DuckDBPyConnection, known: pl.Series) -> pl.DataFrame:
    """Return those of the calls that have lost their costs: `call_id` and `ordinal`.

    More is known of them now than when they were read.
    """
    return to_frame(
        connection.sql(
            "SELECT call_id, ordinal FROM llm_calls c WHERE call_id IN (SELECT unnest($ids)) "
            "AND NOT EXISTS (SELECT 1 FROM call_costs k WHERE k.call_id = c.call_id)",
            params={"ids": known.to_list()},
        )
    )
