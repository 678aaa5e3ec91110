"""Columns are compressed as chosen, in new files and in older ones, whose rows stay as they are."""

import dataclasses
from pathlib import Path
from unittest.mock import patch

import polars as pl
from phasewise_store import database, schema
from phasewise_store.facts import Span
from phasewise_store.statements import insert_frame
from phasewise_store.store import Store

from tests.store.facts_for_tests import growing_session

TABLES = ("segments", "spans", "llm_calls", "nodes")


Rows = dict[str, pl.DataFrame]


def everything(store: Store) -> Rows:
    """Give all rows in the order in which they are stored."""
    return {name: store.frame(f"SELECT * FROM {name} ORDER BY rowid") for name in TABLES}


def copied(store: Store, rows: Rows) -> None:
    """Put rows into tables, those columns of them that the tables have."""
    with store.transaction() as connection:
        for name, frame in rows.items():
            here = store.frame(f"SELECT * FROM {name} LIMIT 0").columns
            insert_frame(connection, name, frame.select(here), "INSERT")


def test_an_older_file_keeps_its_rows(tmp_path: Path) -> None:
    """A file of the schema before is rebuilt when it is opened."""
    path = tmp_path / "old.duckdb"
    with Store.in_memory() as store:
        store.write(growing_session(5))
        rows = everything(store)
    with patch.object(database, "MIGRATIONS", schema.MIGRATIONS[:6]), Store.open(path) as store:
        copied(store, rows)
        before = everything(store)
    with Store.open(path) as store:
        for name, frame in everything(store).items():
            assert frame.select(before[name].columns).equals(before[name])
        assert before["llm_calls"].height == 5
        store.write(growing_session(7))
        store.rewrite(growing_session(7))
        assert everything(store)["llm_calls"].height == 7
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
