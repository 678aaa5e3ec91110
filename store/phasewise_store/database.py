"""Open the one DuckDB file: create it, keep other processes out, bring its schema up to date.

The file is written in DuckDB 1.5's format, so that 1.5 and 2.0 both open it.
Nothing here may `open()` the database file itself: closing such a handle drops the POSIX lock that
DuckDB holds, and a second writer gets in.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import duckdb

from phasewise_store import database_lock, fresh
from phasewise_store.errors import SchemaError, StoreLockedError
from phasewise_store.schema import MIGRATIONS
from phasewise_store.statements import count, run

STORAGE_VERSION = "v1.5.0"
BLOCK_BYTES = 16 << 10
"""DuckDB's smallest: with its usual 256 KiB, a database of some hundred calls is five times as
large, and one of ten thousand a tenth; bulk imports take a tenth more time"""
LOG_BYTES = 64 << 20
"""of DuckDB's write-ahead log before it is moved into the file: that writes the last rows of every
table anew, up to 122,880, and DuckDB's usual 16 MiB would have it done four times as often"""


@dataclass(slots=True)
class Database:
    """An open database file and the lock that keeps other Phasewise processes out."""

    connection: duckdb.DuckDBPyConnection
    lock: IO[str] | None = None

    def announce(self, address: str) -> None:
        """Say in the lock file where other processes can ask for their work to be done."""
        if self.lock is not None:
            self.lock.write(f"\n{address}")
            self.lock.flush()

    def close(self) -> None:
        """Close the connection first, then let others in."""
        self.connection.close()
        if self.lock is not None:
            self.lock.close()
            self.lock = None


def open_database(path: Path) -> Database:
    """Open or create the database file for reading and writing, and migrate it.

    Raises what `database_lock.take` raises, and SchemaError when it is not ours or too new.
    """
    lock = database_lock.take(path)
    try:
        if not path.exists():
            _create(path)
        connection = _connect(path)
        try:
            migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    except BaseException:
        lock.close()
        raise
    return Database(connection, lock)


def open_in_memory() -> Database:
    """Open a database that is gone when it is closed."""
    connection = duckdb.connect(":memory:")
    migrate(connection, Path(":memory:"))
    return Database(connection)


def migrate(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Run the migrations that this file has not seen, each in a transaction of its own."""
    tables = {name for (name,) in run(connection, "SHOW TABLES")}
    if not tables and fresh.make(connection, MIGRATIONS):
        return
    if tables and "schema_migrations" not in tables:
        raise SchemaError(
            f"`{path}` is a DuckDB file, but not Phasewise's; choose another file with --db"
        )
    run(
        connection,
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        "version INTEGER PRIMARY KEY, name VARCHAR NOT NULL, "
        "applied_at TIMESTAMP NOT NULL DEFAULT current_timestamp::TIMESTAMP)",
    )
    done = count(connection, "SELECT coalesce(max(version), 0) FROM schema_migrations")
    if done > len(MIGRATIONS):
        raise SchemaError(
            f"`{path}` was written by a newer Phasewise (schema {done}, this one knows "
            f"{len(MIGRATIONS)}); upgrade with  pip install -U phasewise"
        )
    for version, migration in enumerate(MIGRATIONS[done:], start=done + 1):
        run(connection, "BEGIN")
        migration(connection)
        run(
            connection,
            "INSERT INTO schema_migrations (version, name) VALUES (?, ?)",
            [version, migration.__name__],
        )
        run(connection, "COMMIT")
    if not tables:
        fresh.remember(connection, MIGRATIONS)


def _create(path: Path) -> None:
    quoted = str(path).replace("'", "''")
    with duckdb.connect(":memory:") as maker:
        options = f"STORAGE_VERSION '{STORAGE_VERSION}', BLOCK_SIZE {BLOCK_BYTES}"
        try:
            run(maker, f"ATTACH '{quoted}' AS fresh ({options})")
        except duckdb.Error:
            path.unlink(missing_ok=True)  # a full disk leaves a file that is no database
            raise
        run(maker, "DETACH fresh")


def _threads() -> int:
    """Leave one core to the collector: on two cores, two threads cost a tenth more per span."""
    return max(1, (os.cpu_count() or 1) - 1)


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(
            str(path),
            config={
                "threads": _threads(),
                "wal_autocheckpoint": f"{LOG_BYTES >> 20}MiB",
                # queries are people's own, too (`phasewise sql`): no way out to other files
                "enable_external_access": False,
            },
        )
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise StoreLockedError(
                f"`{path}` is open in another program; close it there, "
                "or choose another file with --db"
            ) from None
        raise _unreadable(path, error) from error
    except duckdb.Error as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: duckdb.Error) -> SchemaError:
    # of another database's file, DuckDB says only that it may not load the extension for it
    reason = "" if "extension" in str(error) else f": {error}"
    return SchemaError(
        f"`{path}` cannot be opened as a DuckDB file{reason}; choose another file with --db"
    )
