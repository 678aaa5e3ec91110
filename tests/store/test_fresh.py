"""A store made from the tables of an earlier one is the store that the migrations make."""

from pathlib import Path

import pytest
from phasewise_store import fresh
from phasewise_store.database import open_database, open_in_memory
from phasewise_store.schema import MIGRATIONS
from phasewise_store.statements import run

Rows = list[tuple[object, ...]]


def described(path: Path | None) -> dict[str, Rows]:
    """Give all that a new database holds: tables, columns, constraints, rows but their times."""
    database = open_in_memory() if path is None else open_database(path)
    try:
        connection = database.connection
        queries = {
            "tables": "SELECT table_name, sql FROM duckdb_tables() ORDER BY table_name",
            "columns": "SELECT table_name, column_name, column_index, data_type, is_nullable, "
            "column_default FROM duckdb_columns() WHERE NOT internal ORDER BY ALL",
            "constraints": "SELECT table_name, constraint_type, constraint_text "
            "FROM duckdb_constraints() ORDER BY ALL",
            "indexes": "SELECT index_name, sql FROM duckdb_indexes() ORDER BY ALL",
        }
        found = {name: run(connection, query) for name, query in queries.items()}
        for name, _ in found["tables"]:
            kept = "version, name" if name == "schema_migrations" else "*"
            found[f"rows of {name}"] = run(connection, f"SELECT {kept} FROM {name} ORDER BY ALL")
        return found
    finally:
        database.close()


@pytest.mark.parametrize("kind", ["in memory", "a file"])
def test_the_second_store_is_as_the_first(tmp_path: Path, kind: str) -> None:
    """The first goes through every migration, the second gets its tables: no difference."""
    in_file = kind == "a file"
    fresh.forget()
    first = described(tmp_path / "first.duckdb" if in_file else None)
    second = described(tmp_path / "second.duckdb" if in_file else None)
    assert first["rows of schema_migrations"] == [
        (place, one.__name__) for place, one in enumerate(MIGRATIONS, start=1)
    ]
    assert second == first
