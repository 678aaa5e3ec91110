"""`Store`: the one object that owns a database; all other code goes through it."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import polars as pl

from phasewise_store import arrival
from phasewise_store.arrow import ArrowTable, to_frame
from phasewise_store.database import Database, open_database, open_in_memory
from phasewise_store.errors import StoreLockedError
from phasewise_store.facts import Batch, Written
from phasewise_store.precedence import Precedence
from phasewise_store.sharing import messages
from phasewise_store.sharing.door import Door
from phasewise_store.sharing.queries import Answer, read_only
from phasewise_store.sharing.remote import RemoteDatabase
from phasewise_store.statements import BEGIN_SNAPSHOT, END_SNAPSHOT, run

POLL_S = 0.1


class Store:
    """A database of facts; safe to use from several threads of its process."""

    def __init__(self, database: Database | RemoteDatabase, path: Path | None) -> None:
        self.path = path
        """the database file; None in memory"""
        self.precedence = Precedence()
        self._database = database
        self._door: Door | None = None
        self._writing = threading.RLock()
        self._writer: int | None = None
        self._thread = threading.local()

    @classmethod
    def open(cls, path: Path, *, waiting: Callable[[str], None] = lambda _: None) -> Self:
        """Open or create the database file, or have its owner do what is asked of it.

        Where a process has the file to itself, as an import does, waits until it has ended;
        `waiting` is called once with what it waits for. Raises StoreLockedError where the owner is
        another version of Phasewise.
        """
        told = False
        while True:
            try:
                return cls(open_database(path), path)
            except StoreLockedError as locked:
                if locked.pid is None:
                    raise  # no process of ours
                if locked.address is not None:
                    with contextlib.suppress(OSError):  # it has just ended
                        return cls(RemoteDatabase(path, locked.address), path)
                elif not told:
                    waiting(f"waiting for process {locked.pid}, which is using `{path}`")
                    told = True
            time.sleep(POLL_S)

    @classmethod
    def own(cls, path: Path) -> Self:
        """Open or create the database file, for this process alone.

        Raises StoreLockedError when another process has it.
        """
        return cls(open_database(path), path)

    @property
    def is_shared(self) -> bool:
        """Whether another process owns the file, and analyses what it receives."""
        return isinstance(self._database, RemoteDatabase)

    def work_for_others(self) -> None:
        """Let other processes of this user read and write through this one, until it is closed."""
        assert isinstance(self._database, Database)
        assert self.path is not None
        address = messages.address_beside(self.path)
        self._door = Door(self, address)
        self._database.announce(address)

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
        if self._door is not None:
            self._door.close()
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
        with self.reading() as cursor:
            return _read(cursor, query, parameters, tables or {})

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor; in the thread that holds a transaction, that transaction's connection."""
        connection = self._database.connection
        if self._writer == threading.get_ident():
            yield connection
            return
        snapshot: duckdb.DuckDBPyConnection | None = getattr(self._thread, "snapshot", None)
        if snapshot is not None:
            yield snapshot
            return
        with connection.cursor() as cursor:
            yield cursor

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads of this thread inside the block see the store of one moment.

        Answers that are put together from several queries need it: others write meanwhile. A
        transaction inside the block sees its own writes, as ever.
        """
        if getattr(self._thread, "snapshot", None) is not None:
            yield
            return
        with self._database.connection.cursor() as cursor:
            run(cursor, BEGIN_SNAPSHOT)
            self._thread.snapshot = cursor
            try:
                yield
            finally:
                self._thread.snapshot = None
                run(cursor, END_SNAPSHOT)

    def query(self, text: str, *, limit_s: float) -> Answer:
        """Run a person's own query: one statement that only reads, for so many seconds.

        Raises UsageError where it is wrong, writes, or takes longer.
        """
        if isinstance(self._database, RemoteDatabase):
            return self._database.read_only(text, limit_s)
        with self.reading() as cursor:
            return read_only(cursor, text, limit_s)

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
        """Return whether this file's bytes were imported before."""
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
        connection.register(name, ArrowTable(table))
    try:
        return to_frame(connection.sql(query, params=parameters))
    finally:
        for name in tables:
            connection.unregister(name)
