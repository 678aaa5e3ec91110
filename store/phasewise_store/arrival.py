"""Write an arriving batch: new calls are added, known calls are completed."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import duckdb
import polars as pl

from phasewise_store import identity, known_calls, rows, steps, tool_text, unused, writing
from phasewise_store.arrow import ArrowTable
from phasewise_store.facts import Batch, LlmCall, ToolCall, Written
from phasewise_store.known_calls import Resolved
from phasewise_store.statements import insert_frame, run

_GROW = """
UPDATE sessions
SET started_ns = least(sessions.started_ns, i.started_ns),
    ended_ns = greatest(sessions.ended_ns, i.ended_ns),
    name = coalesce(sessions.name, i.name)
FROM incoming AS i
WHERE sessions.session_id = i.session_id
"""

_SAME_RUN = """
t.trace_id IS NULL
  AND t.session_id IN (SELECT unnest($ids))
  AND s.session_id = t.session_id
  AND s.name = t.name
  AND s.trace_id IS NOT NULL
  AND abs(s.started_ns - t.started_ns) <= $slack_ns
"""
_TEXT_OF_TWICE_TOLD = f"""
UPDATE tool_calls AS s
SET arguments = coalesce(s.arguments, t.arguments),
    result = coalesce(s.result, t.result)
FROM tool_calls AS t
WHERE {_SAME_RUN}
"""
_TOLD_TWICE = f"""
DELETE FROM tool_calls AS t
WHERE EXISTS (SELECT 1 FROM tool_calls AS s WHERE {_SAME_RUN})
"""


def add(connection: duckdb.DuckDBPyConnection, batch: Batch) -> Written:
    """Add an imported batch; a row whose key is there already stays, a known call is completed."""
    identified = [call for call in batch.llm_calls if call.identities]
    if not identified:
        written = writing.write(connection, batch, writing.insert_new)
        if not batch.numbered:
            steps.number(connection, [one.session_id for one in batch.sessions])
        return replace(written, known_calls=len(batch.llm_calls) - written.llm_calls)
    before = _known_sessions(connection, [one.session_id for one in batch.sessions])
    found = known_calls.resolve(connection, identified, among="all", file=batch.source.format)
    new = _free(connection, found.new)
    plain = tuple(call for call in batch.llm_calls if not call.identities)
    tools, known_tools = _asked_by(batch, found, new)
    written = writing.write(
        connection,
        replace(batch, llm_calls=(*plain, *new.values()), agents=(), tool_calls=tuple(tools)),
        writing.insert_new,
    )
    tool_text.fill(connection, (*tools, *known_tools))
    _add_agents(connection, batch)
    _grow_sessions(connection, batch)
    complete(connection, batch, found)
    known_calls.save(connection, [*new.values(), *found.completed])
    sessions = {one.session_id for one in batch.sessions} | found.touched
    _settle(connection, sessions)
    after = _known_sessions(connection, [one.session_id for one in batch.sessions])
    return replace(
        written,
        sessions=len(after - before),
        grown_sessions=len({call.session_id for call in new.values()} & before),
        known_calls=found.known + len(plain) + len(new) - written.llm_calls,
        completed_calls=len(found.completed),
    )


def put(
    connection: duckdb.DuckDBPyConnection, batch: Batch, heirs: Mapping[str, str]
) -> Mapping[str, str]:
    """Put a batch that was derived from spans in the place of what was derived of them before.

    Gives the ids of calls that a file had brought before, each with the id under which it stands.
    """
    found = known_calls.resolve(
        connection, batch.llm_calls, among="files", file=batch.source.format
    )

    def insert(connection: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> int:
        return writing.insert_or_replace(connection, table, frame, heirs)

    writing.write(connection, replace(batch, llm_calls=found.new), insert)
    if found.stored_as:
        complete(connection, batch, found)
        _settle(connection, {one.session_id for one in batch.sessions} | found.touched)
    known_calls.save(connection, [*found.new, *found.completed])
    return found.stored_as


def complete(connection: duckdb.DuckDBPyConnection, batch: Batch, found: Resolved) -> None:
    """Write the calls of which more is known, and drop those that proved to be one of them."""
    writing.complete(connection, batch.source, found.completed, found.content_of)
    if found.replaced:
        unused.retract_llm_calls(connection, found.replaced.keys())


def _settle(connection: duckdb.DuckDBPyConnection, session_ids: Collection[str]) -> None:
    slack = {"ids": list(session_ids), "slack_ns": identity.SLACK_NS}
    run(connection, _TEXT_OF_TWICE_TOLD, slack)
    run(connection, _TOLD_TWICE, slack)
    steps.number(connection, session_ids)
    unused.drop_unused(connection, session_ids)


def _free(connection: duckdb.DuckDBPyConnection, calls: Collection[LlmCall]) -> dict[str, LlmCall]:
    """Give the new calls by their ids, with one of its own for each whose id is another call's."""
    found = run(
        connection,
        "SELECT call_id FROM llm_calls WHERE call_id IN (SELECT unnest($ids))",
        {"ids": [call.call_id for call in calls]},
    )
    taken = {str(name) for (name,) in found}
    named: dict[str, LlmCall] = {}
    for call in calls:
        name = call.call_id
        while name in taken:
            name = f"{name}.{call.started_ns or 0}"
        taken.add(name)
        named[call.call_id] = replace(call, call_id=name)
    return named


def _asked_by(
    batch: Batch, found: Resolved, new: Mapping[str, LlmCall]
) -> tuple[list[ToolCall], list[ToolCall]]:
    """Give the tool calls under the ids of the calls that asked for them, and those known already.

    Of the latter only the text may be new: a file that grew has a result now.
    """
    placed = {call.call_id: call for call in (*found.completed, *new.values())}
    tools: list[ToolCall] = []
    known: list[ToolCall] = []
    for tool in batch.tool_calls:
        asked = tool.asked_by
        name = None if asked is None else found.stored_as.get(asked)
        if asked is not None and asked in new:
            name = new[asked].call_id
        if asked is None or name is None:
            tools.append(tool)
            continue
        by = placed.get(name)
        renamed = replace(tool, tool_call_id=name + tool.tool_call_id.removeprefix(asked))
        if by is None:
            known.append(renamed)  # a known call that stays as it is has its tools
        else:
            tools.append(replace(renamed, session_id=by.session_id, agent_id=by.agent_id))
    return tools, known


def _add_agents(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    for named, verb in ((False, "INSERT OR IGNORE"), (True, "INSERT OR REPLACE")):
        agents = [agent for agent in batch.agents if agent.named is named]
        insert_frame(connection, "agents", rows.agents(agents), verb)


def _grow_sessions(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    connection.register("incoming", ArrowTable(rows.sessions(batch.source, batch.sessions)))
    try:
        run(connection, _GROW)
    finally:
        connection.unregister("incoming")


def _known_sessions(
    connection: duckdb.DuckDBPyConnection, session_ids: Collection[str]
) -> set[str]:
    found = run(
        connection,
        "SELECT session_id FROM sessions WHERE session_id IN (SELECT unnest($ids))",
        {"ids": list(session_ids)},
    )
    return {str(name) for (name,) in found}
