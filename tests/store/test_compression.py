"""Columns are compressed as chosen, in new files and in older ones, whose rows stay as they are."""

import dataclasses
from pathlib import Path
from unittest.mock import patch

import pytest
from phasewise_store import database, schema
from phasewise_store.facts import Span
from phasewise_store.statements import insert_frame
from phasewise_store.store import Store

from tests.store.facts_for_tests import growing_session

TABLES = ("segments", "spans", "llm_calls", "nodes")


Columns = dict[str, list[str]]


def everything(store: Store, columns: Columns) -> dict[str, list[tuple[object, ...]]]:
    """Give the columns of all rows in the order in which they are stored."""
    return {
        table: store.frame(f"SELECT {', '.join(names)} FROM {table} ORDER BY rowid").rows()
        for table, names in columns.items()
    }


def an_older_file(path: Path, migrations: int) -> Columns:
    """Make a file of an earlier schema with five calls in it; give the columns it has."""
    columns: Columns = {}
    with Store.in_memory() as now:
        now.write(growing_session(5))
        with (
            patch.object(database, "MIGRATIONS", schema.MIGRATIONS[:migrations]),
            Store.open(path) as older,
            older.transaction() as connection,
        ):
            for table in ("sources", "sessions", "agents", *TABLES):
                names = older.frame(f"SELECT * FROM {table}").columns
                rows = now.frame(f"SELECT {', '.join(names)} FROM {table} ORDER BY rowid")
                insert_frame(connection, table, rows, "INSERT")
                columns[table] = names
    return columns


@pytest.mark.parametrize("migrations", [6, 8])
def test_an_older_file_keeps_its_rows(tmp_path: Path, migrations: int) -> None:
    """Files from before columns were compressed, and calls identified, are migrated when opened."""
    path = tmp_path / "old.duckdb"
    columns = an_older_file(path, migrations)
    older = schema.MIGRATIONS[:migrations]
    with patch.object(database, "MIGRATIONS", older), Store.open(path) as store:
        before = everything(store, columns)
    with Store.open(path) as store:
        assert everything(store, columns) == before
        assert len(before["llm_calls"]) == 5
        store.write(growing_session(7))
        store.rewrite(growing_session(7))
        assert len(everything(store, columns)["llm_calls"]) == 7
        defaults = "SELECT count(*) FROM duckdb_columns() WHERE column_default IS NOT NULL"
        assert store.frame(defaults).item() == _defaults_of_a_new_file(tmp_path)


def _defaults_of_a_new_file(folder: Path) -> object:
    with Store.open(folder / "new.duckdb") as store:
        query = "SELECT count(*) FROM duckdb_columns() WHERE column_default IS NOT NULL"
        return store.frame(query).item()


def test_a_checkpoint_compresses_as_chosen(tmp_path: Path) -> None:
    """DuckDB says how it has written each column."""
    with Store.open(tmp_path / "x.duckdb") as store:
        batch = growing_session(300)
        spans = [
            Span(f"{n:032x}", f"{n:016x}", None, "chat", "client", n, n + 1, attributes={"n": n})
            for n in range(1, 300)
        ]
        store.write(dataclasses.replace(batch, spans=tuple(spans)))
        store.checkpoint()
        for table, methods in schema.COMPRESSED.items():
            found = dict(
                store.frame(
                    "SELECT DISTINCT column_name, lower(compression) FROM "
                    f"pragma_storage_info('{table}') WHERE segment_type IN ('VARCHAR', 'BLOB')"
                ).rows()
            )
            assert {column: found[column] for column in methods} == methods
