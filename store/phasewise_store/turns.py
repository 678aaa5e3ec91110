"""How the calls of conversations follow each other: read, write, and what follows for sessions.

The collector decides which call goes on from which; here is what it needs to know of stored ones.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields

import duckdb
import orjson
import polars as pl

from phasewise_store import cells, finding_rows, rows, tool_text
from phasewise_store.facts import Source, ToolCall
from phasewise_store.statements import insert_frame, run


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A call's place in its conversation; see the table `turns`."""

    call_id: str
    own_session: str
    named: bool
    session_id: str
    service: str
    started_ns: int
    ended_ns: int
    chain: int | None
    system: int
    marks: tuple[int, ...]
    asked: tuple[tuple[str, str], ...]
    """name and id of each tool that the answer asked for"""
    before: int | None
    answered: tuple[int, ...]
    results: tuple[str, ...]
    after_call: str | None


@dataclass(frozen=True, slots=True)
class Move:
    """Facts of one trace that belong to another session than they are stored with."""

    own_session: str
    before: str
    after: str


_SCHEMA = {
    "call_id": pl.String(),
    "own_session": pl.String(),
    "named": pl.Boolean(),
    "session_id": pl.String(),
    "service": pl.String(),
    "started_ns": pl.Int64(),
    "ended_ns": pl.Int64(),
    "chain": pl.UInt64(),
    "system": pl.UInt64(),
    "marks": pl.List(pl.UInt64()),
    "asked": pl.String(),
    "before": pl.UInt64(),
    "answered": pl.List(pl.UInt64()),
    "results": pl.String(),
    "after_call": pl.String(),
}

_NAMES = ", ".join(field.name for field in fields(StoredTurn))

_MOVE_CALLS = """
UPDATE llm_calls
SET session_id = $after, agent_id = $after || substr(agent_id, length($before) + 1)
WHERE session_id = $before
  AND call_id IN (SELECT call_id FROM turns WHERE own_session = $own)
RETURNING call_id
"""
_MOVE_OTHERS = """
UPDATE {table}
SET session_id = $after, agent_id = $after || substr(agent_id, length($before) + 1)
WHERE session_id = $before
  AND trace_id = $own
"""
_MOVE_AGENTS = """
INSERT OR IGNORE INTO agents (agent_id, session_id, name, parent_agent_id)
SELECT $after || substr(agent_id, length($before) + 1), $after, name,
       $after || substr(parent_agent_id, length($before) + 1)
FROM agents
WHERE session_id = $before
"""
_MOVE_SESSION = """
INSERT OR IGNORE INTO sessions (session_id, source_id)
SELECT $after, source_id
FROM sessions
WHERE session_id = $before
"""

_UNNAMED = """
SELECT {column}
FROM turns
WHERE NOT named
  AND (session_id IN (SELECT unnest($ids)) OR own_session IN (SELECT unnest($ids)))
"""
_DECIDING = f"""
call_id IN ({_UNNAMED.format(column="call_id")})
OR call_id IN ({_UNNAMED.format(column="after_call")})
OR after_call IN ({_UNNAMED.format(column="call_id")})
"""

_ASKED = """
SELECT call_id, session_id, agent_id, trace_id, started_ns
FROM llm_calls
WHERE call_id IN (SELECT unnest($ids))
"""
_SEEN = """
SELECT session_id, name, started_ns
FROM tool_calls
WHERE session_id IN (SELECT unnest($ids))
  AND NOT derived
"""


def of_calls(connection: duckdb.DuckDBPyConnection, call_ids: Collection[str]) -> list[StoredTurn]:
    """Return the turns of these calls, those that are stored."""
    return _read(connection, "call_id IN (SELECT unnest($ids))", {"ids": list(call_ids)})


def of_chains(connection: duckdb.DuckDBPyConnection, chains: Collection[int]) -> list[StoredTurn]:
    """Return the turns that sent these messages, and those that go on from there."""
    return _read(
        connection,
        "chain IN (SELECT unnest($ids::UBIGINT[])) OR before IN (SELECT unnest($ids::UBIGINT[]))",
        {"ids": sorted(chains)},
    )


def of_sessions(
    connection: duckdb.DuckDBPyConnection, session_ids: Collection[str]
) -> list[StoredTurn]:
    """Return what decides who belongs to these sessions, by their own traces or among all.

    These are the turns that no attribute names a session for, and those next to them: a named
    session may have any number of calls, and they stay in it.
    """
    return _read(connection, _DECIDING, {"ids": list(session_ids)})


def save(connection: duckdb.DuckDBPyConnection, turns: Iterable[StoredTurn]) -> None:
    """Put turns in the place of those of the same calls."""
    columns: dict[str, list[object]] = {name: [] for name in _SCHEMA}
    for turn in turns:
        for name, values in columns.items():
            values.append(getattr(turn, name))
    for name in ("asked", "results"):
        columns[name] = [orjson.dumps(value).decode() for value in columns[name]]
    for name in ("marks", "answered"):
        columns[name] = [list(value) for value in columns[name]]  # type: ignore[call-overload]  # tuples of numbers
    insert_frame(connection, "turns", pl.DataFrame(columns, schema=_SCHEMA), "INSERT OR REPLACE")


def forget(connection: duckdb.DuckDBPyConnection, call_ids: Collection[str]) -> None:
    """Drop the turns of calls that proved to be none."""
    run(
        connection,
        "DELETE FROM turns WHERE call_id IN (SELECT unnest($ids))",
        {"ids": list(call_ids)},
    )


def move(connection: duckdb.DuckDBPyConnection, moves: Iterable[Move]) -> None:
    """Bring stored calls, tools, agents and spans into other sessions.

    The calls lose what was found of them: other calls go before them there.
    """
    for one in moves:
        values = {"before": one.before, "after": one.after}
        cells.mark(connection, {one.before, one.after})
        run(connection, _MOVE_SESSION, values)
        run(connection, _MOVE_AGENTS, values)
        moved = run(connection, _MOVE_CALLS, values | {"own": one.own_session})
        finding_rows.forget(connection, [str(call_id) for (call_id,) in moved])
        for table in ("tool_calls", "spans"):
            run(connection, _MOVE_OTHERS.format(table=table), values | {"own": one.own_session})


@dataclass(frozen=True, slots=True)
class Asking:
    """A call that asked for tools, as it is stored."""

    call_id: str
    session_id: str
    agent_id: str
    trace_id: str | None
    started_ns: int


@dataclass(frozen=True, slots=True)
class SeenTool:
    """A tool run that a span tells of."""

    session_id: str
    name: str
    started_ns: int


def asking(connection: duckdb.DuckDBPyConnection, call_ids: Collection[str]) -> dict[str, Asking]:
    """Return the stored calls of these ids."""
    found = run(connection, _ASKED, {"ids": list(call_ids)})
    return {str(row[0]): Asking(*row) for row in found}  # type: ignore[arg-type]  # as the query says


def seen_tools(
    connection: duckdb.DuckDBPyConnection, session_ids: Collection[str]
) -> list[SeenTool]:
    """Return the tool runs of these sessions that spans tell of."""
    return [
        SeenTool(*row)  # type: ignore[arg-type]  # as the query says
        for row in run(connection, _SEEN, {"ids": list(session_ids)})
    ]


def put_derived_tools(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    known: Collection[str],
    tools: Sequence[ToolCall],
) -> None:
    """Put derived tool runs; of the `known` ids, those that are not among them go."""
    run(
        connection,
        "DELETE FROM tool_calls WHERE derived AND tool_call_id IN (SELECT unnest($ids))",
        {"ids": sorted(set(known) - {one.tool_call_id for one in tools})},
    )
    tool_text.replace_rows(connection, rows.tool_calls(source, tools))


def _read(
    connection: duckdb.DuckDBPyConnection, condition: str, parameters: dict[str, object]
) -> list[StoredTurn]:
    found = run(connection, f"SELECT {_NAMES} FROM turns WHERE {condition}", parameters)
    return [_turn(row) for row in found]


def _turn(row: Sequence[object]) -> StoredTurn:
    values = dict(zip(_SCHEMA, row, strict=True))
    for name in ("marks", "answered"):
        values[name] = tuple(values[name])  # type: ignore[arg-type]  # lists of numbers
    values["asked"] = tuple((name, tool_id) for name, tool_id in orjson.loads(str(values["asked"])))
    values["results"] = tuple(orjson.loads(str(values["results"])))
    return StoredTurn(**values)  # type: ignore[arg-type]  # as the table says
