"""Number the steps of sessions whose calls arrive in no particular order."""

from collections.abc import Collection

import duckdb

from phasewise_store import cells
from phasewise_store.statements import run

_CALLS = """
UPDATE llm_calls
SET step = numbered.step
FROM (
    SELECT call_id,
           row_number() OVER (PARTITION BY session_id ORDER BY started_ns, ordinal) - 1 AS step
    FROM llm_calls
    WHERE session_id IN (SELECT unnest($ids))
) AS numbered
WHERE llm_calls.call_id = numbered.call_id
  AND llm_calls.step <> numbered.step
"""

_TOOLS = """
UPDATE tool_calls
SET after_step = asked.step
FROM (
    SELECT t.tool_call_id, c.step
    FROM tool_calls AS t
    ASOF LEFT JOIN llm_calls AS c
      ON t.session_id = c.session_id
     AND t.agent_id = c.agent_id
     AND t.started_ns >= c.started_ns
    WHERE t.session_id IN (SELECT unnest($ids))
) AS asked
WHERE tool_calls.tool_call_id = asked.tool_call_id
  AND tool_calls.after_step IS DISTINCT FROM asked.step
"""


def number(connection: duckdb.DuckDBPyConnection, session_ids: Collection[str]) -> None:
    """Set the steps of these sessions by start time; a tool follows its agent's last call."""
    parameters = {"ids": list(session_ids)}
    cells.mark(connection, session_ids)
    run(connection, _CALLS, parameters)
    run(connection, _TOOLS, parameters)
