"""`Store`: the one object that owns a database; everything above asks it and nothing else."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import polars as pl

from phasewise_store import arrival
from phasewise_store.database import Database, open_database, open_in_memory
from phasewise_store.facts import Batch, Written
from phasewise_store.statements import run


class Store:
    """A database of facts; safe to use from several threads of its process."""

    def __init__(self, database: Database, path: Path | None) -> None:
        self.path = path
        """the database file; None in memory"""
        self._database = database
        self._writing = threading.RLock()
        self._writer: int | None = None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the database file; raises StoreLockedError when another process has it."""
        return cls(open_database(path), path)

    @classmethod
    def in_memory(cls) -> Self:
        """Open a store that is gone when it is closed."""
        return cls(open_in_memory(), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; every finished transaction is on disk already."""
        with self._writing:
            self._database.close()

    def frame(
        self,
        query: str,
        parameters: Mapping[str, object] | Sequence[object] | None = None,
        *,
        tables: Mapping[str, pl.DataFrame] | None = None,
    ) -> pl.DataFrame:
        """Run a read query; parameters are `$name` with a mapping, `?` with a sequence.

        `tables` are there for this query by their names. In the thread that holds a transaction it
        sees what the transaction wrote.
        """
        if self._writer == threading.get_ident():
            return _read(self._database.connection, query, parameters, tables or {})
        with self._database.connection.cursor() as cursor:
            return _read(cursor, query, parameters, tables or {})

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Hold the only write transaction; one inside another joins it.

        Statements on the connection go through `phasewise_store.statements.run`.
        """
        with self._writing:
            connection = self._database.connection
            if self._writer is not None:
                yield connection
                return
            self._writer = threading.get_ident()
            try:
                run(connection, "BEGIN")
                try:
                    yield connection
                except BaseException:
                    run(connection, "ROLLBACK")
                    raise
                run(connection, "COMMIT")
            finally:
                self._writer = None

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the database file."""
        with self._writing:
            run(self._database.connection, "CHECKPOINT")

    def write(self, batch: Batch) -> Written:
        """Write a batch in one transaction; a row whose key is there already stays as it is.

        A call that is known by one of its identities is no second one: what the batch knows better
        completes it.
        """
        with self.transaction() as connection:
            return arrival.add(connection, batch)

    def rewrite(self, batch: Batch, *, heirs: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """Write a batch in one transaction; a row whose key is there already is replaced.

        A replaced call keeps its ordinal, keeps its prompt and output where the new one comes
        without, and loses its costs so that it is analysed again. `heirs` names, for a call that is
        new, the stored call whose place it takes. Gives the ids of calls that a file brought
        before, with the id under which each stands: it is completed.
        """
        with self.transaction() as connection:
            return arrival.put(connection, batch, heirs or {})

    def has_source(self, source_id: str) -> bool:
        """Say whether this file's bytes were imported before."""
        query = (
            "SELECT 1 FROM sources WHERE source_id = $source_id "
            "UNION ALL SELECT 1 FROM imported_files WHERE source_id = $source_id"
        )
        return bool(self.frame(query, {"source_id": source_id}).height)


def _read(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    parameters: Mapping[str, object] | Sequence[object] | None,
    tables: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:
    for name, table in tables.items():
        connection.register(name, table)
    try:
        frame: pl.DataFrame = connection.sql(query, params=parameters).pl()
    finally:
        for name in tables:
            connection.unregister(name)
    return frame
