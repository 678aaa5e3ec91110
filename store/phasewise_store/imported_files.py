"""Which files were imported, and their state at that time: unchanged files are not read again."""

from dataclasses import dataclass

import duckdb

from phasewise_store.statements import run
from phasewise_store.store import Store


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells without reading it whether a file has changed."""

    bytes: int
    mtime_ns: int


def load(store: Store) -> dict[str, Stamp]:
    """Return the files that were imported, by path."""
    rows = store.frame("SELECT path, bytes, mtime_ns FROM imported_files").iter_rows()
    return {path: Stamp(size, mtime_ns) for path, size, mtime_ns in rows}


def remember(
    connection: duckdb.DuckDBPyConnection, path: str, stamp: Stamp, *, source_id: str
) -> None:
    """Keep that this file is imported; earlier states of it, of which no call is left, are let go.

    A session file that grows would otherwise leave a source a look.
    """
    run(
        connection,
        "INSERT OR REPLACE INTO imported_files VALUES (?, ?, ?, ?)",
        [path, stamp.bytes, stamp.mtime_ns, source_id],
    )
    run(
        connection,
        "DELETE FROM sources WHERE path = ? AND source_id <> ? "
        "AND source_id NOT IN (SELECT source_id FROM llm_calls) "
        "AND source_id NOT IN (SELECT source_id FROM tool_calls) "
        "AND source_id NOT IN (SELECT source_id FROM sessions)",
        [path, source_id],
    )
