"""Compression of text columns in the file, where DuckDB's own choice costs too much.

At every checkpoint DuckDB tries its methods again on the last rows of each table. For texts that
are already compressed this takes most of the checkpoint's time and gains nothing; JSON that repeats
from row to row takes less space and time with zstd.
"""

from collections.abc import Mapping

import duckdb

from phasewise_store.statements import count, run

Methods = Mapping[str, str]
"""DuckDB's name of a method, by column"""

_COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default
FROM duckdb_columns()
WHERE database_name = current_database() AND schema_name = 'main' AND NOT internal
ORDER BY table_name, column_index
"""

_KEYS = """
SELECT table_name, constraint_column_names
FROM duckdb_constraints()
WHERE database_name = current_database() AND schema_name = 'main'
  AND constraint_type = 'PRIMARY KEY'
"""


def choose(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Methods]) -> None:
    """Rebuild tables, inside the caller's transaction: a column keeps its method for good."""
    lines: dict[str, list[str]] = {table: [] for table in tables}
    for table, name, kind, nullable, default in run(connection, _COLUMNS):
        if table in lines:
            method = tables[str(table)].get(str(name))
            lines[str(table)].append(
                _column(
                    str(name), str(kind), nullable=bool(nullable), default=default, method=method
                )
            )
    for table, names in run(connection, _KEYS):
        if table in lines:
            assert isinstance(names, list)
            lines[str(table)].append(f"PRIMARY KEY ({', '.join(names)})")
    for table, parts in lines.items():
        _rebuild(connection, table, f"CREATE TABLE main.{table} ({', '.join(parts)})")


def _rebuild(connection: duckdb.DuckDBPyConnection, table: str, create: str) -> None:
    """Put a table in the place of the old one, with its rows in their order."""
    is_empty = not count(connection, f"SELECT count(*) FROM main.{table}")
    if not is_empty:
        run(connection, f"CREATE TEMP TABLE moving AS SELECT * FROM main.{table} ORDER BY rowid")
    run(connection, f"DROP TABLE main.{table}")
    run(connection, create)
    if not is_empty:
        run(connection, f"INSERT INTO main.{table} SELECT * FROM moving ORDER BY rowid")
        run(connection, "DROP TABLE moving")


def _column(name: str, kind: str, *, nullable: bool, default: object, method: str | None) -> str:
    compressed = "" if method is None else f" USING COMPRESSION {method}"
    needed = "" if nullable else " NOT NULL"
    given = "" if default is None else f" DEFAULT {default}"
    return f"{name} {kind}{compressed}{needed}{given}"
