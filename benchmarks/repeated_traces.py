"""Databases as large as wanted, for benchmarks: real sessions, repeated under other ids and days.

A copy's calls have ids, session, agents, traces and times of their own and the prompts of the
original: segments and trie are shared. What the analysis keeps of a call is copied with it. Nothing
but SQL makes a copy, so a million calls take minutes; the sums of some sessions are made again the
usual way and compared.
"""

import queue
from collections.abc import Sequence
from pathlib import Path

import duckdb
from phasewise_analyzer.analyse import analyse
from phasewise_analyzer.ledger import recorded_drifts
from phasewise_collector.importing import import_paths
from phasewise_store import cells, reuse_rows
from phasewise_store.cell_key import KEY, hashed
from phasewise_store.scope import EVERYTHING
from phasewise_store.statements import run
from phasewise_store.store import Store
from phasewise_web.background.worker import Worker

SHARED = Path(__file__).resolve().parents[2] / "shared" / "traces"
TRACES = (SHARED / "kv-cache-tester", SHARED / "tau2-bench")
_IDS = frozenset(
    {
        *("session_id", "agent_id", "parent_agent_id", "call_id", "tool_call_id", "side_call_id"),
        *("after_call_id", "trace_id", "span_id", "identity", "key", "with_id"),
    }
)
_ORDINALS = frozenset({"ordinal", "first_ordinal", "last_ordinal"})
_TIMES = frozenset(
    {
        *("started_ns", "ended_ns", "said_ns", "first_ns", "last_ns"),
        *("first_prompt_ns", "last_prompt_ns"),
    }
)
_LEFT = frozenset({"drifts", "stale_sessions", "stale_reuse_sessions", "measured_calls"})
"""tables of which copies need no rows"""
_DAY_H = 24
_DAY_NS = _DAY_H * 3_600 * 10**9
"""from one copy to the next"""
_CHECKED_SESSIONS = 50


class CopyError(Exception):
    """A copy's sums are not those of its calls."""


def load(path: Path, traces: Sequence[Path] = TRACES) -> None:
    """Import and analyse all of the traces once, and make the answers that are kept."""
    with Store.open(path) as store:
        import_paths(store, list(traces))
        analyse(store)
        _keep_answers(store)
        store.checkpoint()


def fill(path: Path, calls: int) -> str:
    """Repeat what `load` made until there are at least so many calls; say what was done."""
    with Store.open(path) as store:
        there = _count(store, "llm_calls")
        copies = max(0, -(-calls // there) - 1)
        if copies:
            shifts = {"copies": copies, "ordinals": _count(store, "llm_calls", "max(ordinal) + 1")}
            tables = _tables(store)
            with store.transaction() as connection:
                run(connection, _NEW_CELLS, {"copies": copies})
            for table, columns in tables.items():
                with store.transaction() as connection:
                    _copy(connection, table, columns, shifts)
            _check(store)
            for source in reuse_rows.sources(store, EVERYTHING):
                recorded_drifts.refresh(store, source)
            _keep_answers(store)
        waiting = analyse(store)
        if waiting:
            raise CopyError(f"{waiting:,} calls were copied without what is kept of them")
        store.checkpoint()
        made, sessions, sums = (_count(store, name) for name in ("llm_calls", "sessions", "cells"))
    return (
        f"{made:,} calls of {sessions:,} sessions: {there:,} real calls and {copies} copies with "
        f"ids and days of their own and the same prompts; {sums:,} cells"
    )


def _tables(store: Store) -> dict[str, list[str]]:
    """Give the tables with rows of calls, sessions, agents or tools, and their columns."""
    found: dict[str, list[str]] = {}
    columns = store.frame(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'main' ORDER BY table_name, ordinal_position"
    )
    for table, column in columns.iter_rows():
        found.setdefault(table, []).append(column)
    keys = {"session_id", "call_id", "agent_id", "ordinal"}
    return {
        table: names for table, names in found.items() if table not in _LEFT and keys & set(names)
    }


_COPIES = "(SELECT unnest(range(1, $copies + 1)) AS copy)"


def _shifted(name: str) -> str:
    """Give the SQL of a column's value in a copy."""
    if name in _IDS:
        return f"t.{name} || '~' || copy"
    if name in _TIMES:
        return f"t.{name} + copy * {_DAY_NS}"
    if name in _ORDINALS:
        return f"t.{name} + copy * $ordinals"
    return {"hour": f"t.hour + copy * {_DAY_H}", "cell_id": "n.new_id"}.get(name, f"t.{name}")


_NEW_CELLS = f"""
CREATE TEMP TABLE new_cells AS
SELECT t.cell_id, copy, {hashed({name: _shifted(name) for name in KEY})} AS new_id
FROM cells t
CROSS JOIN {_COPIES}
"""


def _copy(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Sequence[str],
    shifts: dict[str, int],
) -> None:
    has_cell = "cell_id" in columns
    copies = "JOIN new_cells n USING (cell_id)" if has_cell else f"CROSS JOIN {_COPIES}"
    values = ", ".join(map(_shifted, columns))
    used = {name: value for name, value in shifts.items() if f"${name}" in f"{values} {copies}"}
    run(
        connection,
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} t {copies} "
        "ORDER BY copy, t.rowid",
        used,
    )


def _check(store: Store) -> None:
    """Make the cells of some sessions again from their calls; raises CopyError for another sum."""
    ids = store.frame(
        f"SELECT session_id FROM sessions ORDER BY hash(session_id) LIMIT {_CHECKED_SESSIONS}"
    )["session_id"].to_list()
    queries = {
        name: f"SELECT * FROM {name} WHERE session_id IN (SELECT unnest($ids)) ORDER BY ALL"
        for name in ("cells", "cell_reasons", "session_times")
    }
    before = {name: store.frame(query, {"ids": ids}) for name, query in queries.items()}
    with store.transaction() as connection:
        cells.mark(connection, ids)
        cells.refresh(connection)
    for name, query in queries.items():
        if not before[name].equals(store.frame(query, {"ids": ids})):
            raise CopyError(f"{name} were not copied as they are made")
    reuse_rows.settle(store)


def _keep_answers(store: Store) -> None:
    """Have made what a process beside `phasewise up` makes when it has the time."""
    Worker(store, queue.SimpleQueue()).turn()


def _count(store: Store, table: str, what: str = "count(*)") -> int:
    return int(store.frame(f"SELECT {what} FROM {table}").item())
