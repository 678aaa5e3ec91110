"""How columns of text are compressed in the file, where DuckDB's own choice costs too much.

At every checkpoint DuckDB tries its methods on the last rows of each table again. On texts that are
compressed already that takes most of the time of a checkpoint and gains nothing; JSON that is alike
from row to row takes less room, and less time, with zstd.
"""

from collections.abc import Mapping

import duckdb

from phasewise_store.statements import run

Methods = Mapping[str, str]
"""DuckDB's name of a method, by column"""

_COLUMNS = """
SELECT column_name, data_type, is_nullable, column_default
FROM duckdb_columns()
WHERE database_name = current_database() AND schema_name = 'main' AND table_name = ?
ORDER BY column_index
"""

_KEY = """
SELECT constraint_column_names
FROM duckdb_constraints()
WHERE database_name = current_database() AND schema_name = 'main' AND table_name = ?
  AND constraint_type = 'PRIMARY KEY'
"""


def choose(connection: duckdb.DuckDBPyConnection, table: str, methods: Methods) -> None:
    """Rebuild a table, inside the caller's transaction: a column keeps its method for good."""
    lines = [
        _column(
            str(name),
            str(kind),
            nullable=bool(nullable),
            default=default,
            method=methods.get(str(name)),
        )
        for name, kind, nullable, default in run(connection, _COLUMNS, [table])
    ]
    for (names,) in run(connection, _KEY, [table]):
        assert isinstance(names, list)
        lines.append(f"PRIMARY KEY ({', '.join(names)})")
    run(connection, f"CREATE TEMP TABLE moving AS SELECT * FROM main.{table} ORDER BY rowid")
    run(connection, f"DROP TABLE main.{table}")
    run(connection, f"CREATE TABLE main.{table} ({', '.join(lines)})")
    run(connection, f"INSERT INTO main.{table} SELECT * FROM moving ORDER BY rowid")
    run(connection, "DROP TABLE moving")


def _column(name: str, kind: str, *, nullable: bool, default: object, method: str | None) -> str:
    compressed = "" if method is None else f" USING COMPRESSION {method}"
    needed = "" if nullable else " NOT NULL"
    given = "" if default is None else f" DEFAULT {default}"
    return f"{name} {kind}{compressed}{needed}{given}"
