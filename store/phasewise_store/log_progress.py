"""How far the collector's log is loaded, and what happened to every item in it.

Both are saved in the transaction that writes the facts, so that after any crash
accepted = stored + deduplicated + rejected + waiting.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

import duckdb

from phasewise_store.statements import run
from phasewise_store.store import Store


@dataclass(frozen=True, slots=True)
class LogProgress:
    """How far one segment of the log is loaded."""

    segment: str
    """its file name"""
    offset_bytes: int = 0
    """loaded up to here"""
    requests: int = 0
    damaged_bytes: int = 0
    """bytes that failed their checksum, or whose write was cut short before it was acknowledged"""
    finished: bool = False
    """whether nothing is written to the segment any more, and all of it is loaded"""


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the items (spans, log records, data points) of one signal."""

    signal: str
    """traces, logs, metrics"""
    accepted: int = 0
    """items in requests that were acknowledged, the rejected ones among them included"""
    stored: int = 0
    deduplicated: int = 0
    """stored already, by (trace_id, span_id): a sender's retry"""
    rejected: int = 0
    """their senders were told"""

    def __add__(self, other: "Account") -> "Account":
        """Add up two accounts of one signal."""
        assert self.signal == other.signal
        return Account(
            self.signal,
            self.accepted + other.accepted,
            self.stored + other.stored,
            self.deduplicated + other.deduplicated,
            self.rejected + other.rejected,
        )


def _of(table: str, facts: type) -> str:
    return ", ".join(f"{table}.{field.name}" for field in fields(facts))


_COLUMNS = ", ".join(field.name for field in fields(LogProgress))
_ACCOUNT = ", ".join(field.name for field in fields(Account))
_BOOKS = f"""
SELECT {_of("p", LogProgress)}, {_of("a", Account)}
FROM log_progress p
LEFT JOIN log_accounts a USING (segment)
ORDER BY p.segment
"""
_ADD = f"""
INSERT INTO log_accounts (segment, {_ACCOUNT}) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (segment, signal) DO UPDATE
SET accepted = log_accounts.accepted + excluded.accepted,
    stored = log_accounts.stored + excluded.stored,
    deduplicated = log_accounts.deduplicated + excluded.deduplicated,
    rejected = log_accounts.rejected + excluded.rejected
"""


def load(store: Store) -> dict[str, LogProgress]:
    """Return the progress of every segment that was ever begun, by its name."""
    return books(store)[0]


def accounts(store: Store) -> list[Account]:
    """Return what became of all that was ever loaded, one account a signal."""
    return books(store)[1]


def books(store: Store) -> tuple[dict[str, LogProgress], list[Account]]:
    """Return both as they are at one moment, which two queries would not."""
    progress: dict[str, LogProgress] = {}
    sums: dict[str, Account] = {}
    width = len(fields(LogProgress))
    for row in store.frame(_BOOKS).iter_rows():
        progress[row[0]] = LogProgress(*row[:width])
        signal = row[width]
        if signal is not None:
            sums[signal] = sums.get(signal, Account(signal)) + Account(*row[width:])
    return progress, [sums[signal] for signal in sorted(sums)]


def save(
    connection: duckdb.DuckDBPyConnection,
    progress: LogProgress,
    accounts: Iterable[Account] = (),
) -> None:
    """Note a segment's progress, and add to its accounts, in the caller's transaction."""
    marks = ", ".join("?" for _ in fields(LogProgress))
    run(
        connection,
        f"INSERT OR REPLACE INTO log_progress ({_COLUMNS}) VALUES ({marks})",
        list(astuple(progress)),
    )
    for account in accounts:
        run(connection, _ADD, [progress.segment, *astuple(account)])
