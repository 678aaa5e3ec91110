"""A user's own query: one read-only statement with a time limit."""

import threading
from dataclasses import dataclass

import duckdb

from phasewise_store.errors import UsageError


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def read_only(connection: duckdb.DuckDBPyConnection, query: str, limit_s: float) -> Answer:
    """Run a query in a transaction that cannot write.

    Raises UsageError for a query that is wrong, writes, or takes longer than `limit_s` seconds.
    """
    timer = threading.Timer(limit_s, connection.interrupt)
    timer.daemon = True
    try:
        if len(connection.extract_statements(query)) != 1:
            raise UsageError("give one statement: a SELECT, DESCRIBE or SHOW")
        connection.execute("BEGIN TRANSACTION READ ONLY").fetchall()
        timer.start()
        try:
            found = connection.execute(query)
            described = found.description or []
            rows = tuple(found.fetchall())
            return Answer(
                tuple(name for name, *_ in described),
                tuple(str(kind) for _, kind, *_ in described),
                rows,
            )
        finally:
            timer.cancel()
            connection.execute("ROLLBACK").fetchall()
    except duckdb.InterruptException:
        raise UsageError(
            f"the query was stopped after {limit_s:g} s; narrow it, or raise --limit-s"
        ) from None
    except duckdb.Error as error:
        raise UsageError(str(error)) from error
