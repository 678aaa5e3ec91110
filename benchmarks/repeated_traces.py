"""Databases as large as wanted, for benchmarks: real sessions, repeated under other ids and days.

A copy's calls have ids, session, agents, traces and times of their own and the prompts of the
original: segments and trie are shared, as are its costs. Nothing but SQL makes it, so a million
calls take minutes.
"""

from collections.abc import Sequence
from pathlib import Path

from phasewise_analyzer.analyse import analyse
from phasewise_collector.importing import import_paths
from phasewise_store.statements import count, run
from phasewise_store.store import Store

SHARED = Path(__file__).resolve().parents[2] / "shared" / "traces"
TRACES = (SHARED / "kv-cache-tester", SHARED / "tau2-bench")
_IDS = frozenset(
    {
        *("session_id", "agent_id", "parent_agent_id", "call_id", "tool_call_id", "side_call_id"),
        *("after_call_id", "trace_id", "span_id", "identity", "key", "with_id"),
    }
)
_TIMES = frozenset({"started_ns", "ended_ns", "said_ns"})
_MADE_AGAIN = frozenset({"cells", "cell_reasons", "session_times", "stale_sessions", "drifts"})
"""tables that the analysis makes of the others"""
_DAY_NS = 86_400 * 10**9
"""from one copy to the next"""


def fill(path: Path, calls: int, traces: Sequence[Path] = TRACES) -> str:
    """Make the database with at least so many calls, or all of the traces once; say what it did."""
    with Store.open(path) as store:
        import_paths(store, list(traces))
        analyse(store)
        there = int(store.frame("SELECT count(*) FROM llm_calls").item())
        copies = max(0, -(-calls // there) - 1)
        if copies:
            with store.transaction() as connection:
                for table, columns in _tables(store).items():
                    run(connection, _copy(store, table, columns), {"copies": copies})
                run(
                    connection,
                    "INSERT INTO stale_sessions SELECT DISTINCT session_id FROM llm_calls",
                )
        analyse(store)
        store.checkpoint()
        with store.transaction() as connection:
            made = count(connection, "SELECT count(*) FROM llm_calls")
            sessions = count(connection, "SELECT count(*) FROM sessions")
            cells = count(connection, "SELECT count(*) FROM cells")
    return (
        f"{made:,} calls of {sessions:,} sessions: {there:,} real calls and {copies} copies with "
        f"ids and days of their own and the same prompts; {cells:,} cells"
    )


def _tables(store: Store) -> dict[str, list[str]]:
    """Give the tables with one row a call, session, agent or tool, and their columns."""
    found: dict[str, list[str]] = {}
    columns = store.frame(
        "SELECT table_name, column_name FROM information_schema.columns "
        "ORDER BY table_name, ordinal_position"
    )
    for table, column in columns.iter_rows():
        found.setdefault(table, []).append(column)
    return {
        table: names
        for table, names in found.items()
        if table not in _MADE_AGAIN and {"session_id", "call_id", "agent_id"} & set(names)
    }


def _copy(store: Store, table: str, columns: Sequence[str]) -> str:
    ordinals = int(store.frame("SELECT max(ordinal) FROM llm_calls").item()) + 1

    def made(name: str) -> str:
        if name in _IDS:
            return f"{name} || '~' || copy"
        if name in _TIMES:
            return f"{name} + copy * {_DAY_NS}"
        return f"{name} + copy * {ordinals}" if name == "ordinal" else name

    values = ", ".join(map(made, columns))
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} "
        "CROSS JOIN (SELECT unnest(range(1, $copies + 1)) AS copy) "
        f"ORDER BY copy, {table}.rowid"
    )
