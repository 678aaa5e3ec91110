"""Which traces describe the same calls, such as an SDK's orphan trace next to its framework's."""

from collections.abc import Collection

import duckdb
import polars as pl

from phasewise_store.statements import insert_frame
from phasewise_store.store import Store


def of(store: Store, trace_ids: Collection[str]) -> set[str]:
    """Return the traces that were joined with these."""
    found = store.frame(
        "SELECT with_id FROM joined_traces WHERE trace_id IN (SELECT unnest($ids))",
        {"ids": list(trace_ids)},
    )
    return set(found.get_column("with_id").to_list())


def save(connection: duckdb.DuckDBPyConnection, pairs: Collection[tuple[str, str]]) -> None:
    """Keep pairs of traces."""
    if pairs:
        frame = pl.DataFrame(sorted(pairs), schema=["trace_id", "with_id"], orient="row")
        insert_frame(connection, "joined_traces", frame, "INSERT OR IGNORE")
