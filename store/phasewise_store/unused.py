"""Remove calls that proved not to be calls, and rows that no call refers to any more."""

from collections.abc import Collection

import duckdb

from phasewise_store import cells, finding_rows, known_calls
from phasewise_store.statements import run

_UNUSED_AGENTS = """
DELETE FROM agents
WHERE session_id IN (SELECT unnest($ids))
  AND agent_id NOT IN (SELECT agent_id FROM llm_calls)
  AND agent_id NOT IN (SELECT agent_id FROM tool_calls)
  AND agent_id NOT IN (SELECT agent_id FROM side_calls)
  AND agent_id NOT IN (SELECT parent_agent_id FROM agents WHERE parent_agent_id IS NOT NULL)
"""

_UNUSED_SESSIONS = """
DELETE FROM sessions
WHERE session_id IN (SELECT unnest($ids))
  AND session_id NOT IN (SELECT session_id FROM llm_calls)
  AND session_id NOT IN (SELECT session_id FROM tool_calls)
  AND session_id NOT IN (SELECT session_id FROM side_calls)
"""


def retract_llm_calls(connection: duckdb.DuckDBPyConnection, call_ids: Collection[str]) -> None:
    """Take back calls that a later span showed to be part of another call."""
    parameters = {"ids": list(call_ids)}
    cells.mark_calls(connection, call_ids)
    finding_rows.forget(connection, call_ids)
    known_calls.forget(connection, call_ids)
    run(connection, "DELETE FROM llm_calls WHERE call_id IN (SELECT unnest($ids))", parameters)


def drop_unused(connection: duckdb.DuckDBPyConnection, session_ids: Collection[str]) -> None:
    """Drop what no call refers to any more: agents of these sessions, and the sessions."""
    parameters = {"ids": list(session_ids)}
    run(connection, _UNUSED_AGENTS, parameters)
    run(connection, _UNUSED_SESSIONS, parameters)
