"""How far the collector's log is loaded; saved in the transaction that writes the facts."""

from dataclasses import astuple, dataclass, fields

import duckdb

from phasewise_store.statements import run
from phasewise_store.store import Store


@dataclass(frozen=True, slots=True)
class LogProgress:
    """What became of one segment of the log so far."""

    segment: str
    """its file name"""
    offset_bytes: int = 0
    """loaded up to here"""
    requests: int = 0
    stored_spans: int = 0
    duplicate_spans: int = 0
    """spans whose (trace_id, span_id) was stored already: a sender's retry"""
    rejected_spans: int = 0
    """spans without valid ids"""
    damaged_bytes: int = 0
    """bytes that failed their checksum, or whose write was cut short before it was acknowledged"""
    finished: bool = False
    """whether nothing is written to the segment any more, and all of it is loaded"""


_COLUMNS = ", ".join(field.name for field in fields(LogProgress))


def load(store: Store) -> dict[str, LogProgress]:
    """Give the progress of every segment that was ever begun, by its name."""
    rows = store.frame(f"SELECT {_COLUMNS} FROM log_progress ORDER BY segment")
    return {row[0]: LogProgress(*row) for row in rows.iter_rows()}


def save(connection: duckdb.DuckDBPyConnection, progress: LogProgress) -> None:
    """Note a segment's progress in the caller's transaction."""
    marks = ", ".join("?" for _ in fields(LogProgress))
    run(
        connection,
        f"INSERT OR REPLACE INTO log_progress ({_COLUMNS}) VALUES ({marks})",
        list(astuple(progress)),
    )
