"""Run one SQL statement to its end.

DuckDB 2 leaves the result of `execute` open until it is fetched, and refuses other work on the
connection meanwhile; 1.5 does not. Everything in the store that is not a read goes through here.
"""

from collections.abc import Mapping, Sequence

import duckdb
import polars as pl

from phasewise_store.arrow import ArrowTable

Parameters = Mapping[str, object] | Sequence[object] | None
Row = tuple[object, ...]

BEGIN_SNAPSHOT, END_SNAPSHOT = "BEGIN TRANSACTION READ ONLY", "ABORT"
"""around reads that belong together; ABORT is the same as ROLLBACK, which ends a write"""


def run(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: Parameters = None
) -> list[Row]:
    """Run a statement and fetch all it gives."""
    return list(connection.execute(statement, parameters).fetchall())


def count(connection: duckdb.DuckDBPyConnection, query: str, parameters: Parameters = None) -> int:
    """Run a query that gives one whole number."""
    ((number,),) = run(connection, query, parameters)
    assert isinstance(number, int)
    return number


def insert_frame(
    connection: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame, verb: str
) -> int:
    """Insert a frame by column name; `verb` is INSERT, INSERT OR IGNORE or INSERT OR REPLACE."""
    if not frame.height:
        return 0
    columns = ", ".join(frame.columns)
    connection.register("incoming", ArrowTable(frame))
    try:
        return count(connection, f"{verb} INTO {table} ({columns}) SELECT {columns} FROM incoming")
    finally:
        connection.unregister("incoming")
