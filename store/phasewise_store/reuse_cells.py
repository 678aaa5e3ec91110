"""Sums of the calls' reuse (`call_reuse`), over all that a question can tell apart.

A cell here is one combination of session, file, agent, model and labels. The cells of a session are
made again from its rows by who adds rows; where facts of its calls change, `cells.refresh` marks
it, and the process that makes what takes long follows (`reuse_rows.settle`).
"""

from collections.abc import Collection

import duckdb

from phasewise_store.statements import run

_KEY = {
    "source": "s.name",
    "source_id": "c.source_id",
    "session_id": "c.session_id",
    "agent": "a.name",
    "model": "c.model",
    "user_id": "c.user_id",
    "customer": "c.customer",
    "version": "c.version",
    "tags": "c.tags",
}
COUNTS = {
    "calls": "count(*)",
    "prompt_calls": "count(*) FILTER (r.prompt_tokens > 0)",
    "timed_calls": "count(c.started_ns)",
    "block_tokens": "max(r.block_tokens)",
    "input_tokens": "sum(c.input_tokens)",
    "output_tokens": "sum(c.output_tokens)",
    "prompt_tokens": "sum(r.prompt_tokens)",
    "prompt_blocks": "sum(r.prompt_blocks)",
    "timed_tokens": "sum(r.timed_tokens)",
} | {
    name: f"sum(r.{name})"
    for yardstick in ("any", "previous", "session", "agent", "model", "file")
    for name in (f"{yardstick}_tokens", f"{yardstick}_blocks", f"{yardstick}_share")
}


def _listed(expressions: dict[str, str]) -> str:
    return ", ".join(f"{made} AS {name}" for name, made in expressions.items())


_REFRESH = f"""
INSERT INTO reuse_cells BY NAME
WITH rows AS (
    SELECT {_listed(_KEY)}, c.ordinal, c.started_ns, c.output_tokens,
           r.* EXCLUDE (ordinal, leaf_node),
           min(c.ordinal) OVER (PARTITION BY {", ".join(_KEY.values())}) AS first_ordinal
    FROM llm_calls c
    JOIN sources s USING (source_id)
    LEFT JOIN agents a USING (agent_id)
    JOIN call_reuse r USING (ordinal)
    WHERE c.session_id IN (SELECT unnest($ids))
), added AS (
    SELECT first_ordinal, 'lru' AS curve, unnest(lru) AS one FROM rows
    UNION ALL SELECT first_ordinal, 'ttl', unnest(ttl) FROM rows
), steps AS (
    SELECT first_ordinal, curve, {{
        'step': one.step, 'blocks': sum(one.blocks)::BIGINT, 'tokens': sum(one.tokens)::BIGINT
    }} AS one
    FROM added
    GROUP BY first_ordinal, curve, one.step
), curves AS (
    SELECT first_ordinal, list(one) FILTER (curve = 'lru') AS lru,
           list(one) FILTER (curve = 'ttl') AS ttl
    FROM steps
    GROUP BY first_ordinal
)
SELECT r.first_ordinal, {_listed({name: f"any_value(r.{name})" for name in _KEY})},
       {_listed(COUNTS).replace("c.", "r.")},
       any_value(v.lru) AS lru, any_value(v.ttl) AS ttl
FROM rows r
LEFT JOIN curves v USING (first_ordinal)
GROUP BY r.first_ordinal
"""


SLICE = 4_000
"""marked sessions made again in one transaction: others write between two"""


def mark(connection: duckdb.DuckDBPyConnection, session_ids: Collection[str]) -> None:
    """Say that facts of these sessions' calls changed."""
    run(
        connection,
        "INSERT INTO stale_reuse_sessions SELECT unnest($ids)",
        {"ids": list(session_ids)},
    )


def marked(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Give some of the marked sessions, at most `SLICE`."""
    found = run(connection, f"SELECT DISTINCT session_id FROM stale_reuse_sessions LIMIT {SLICE}")
    return [str(name) for (name,) in found]


def refresh(connection: duckdb.DuckDBPyConnection, session_ids: Collection[str]) -> None:
    """Make the cells of these sessions again."""
    ids = {"ids": list(session_ids)}
    for table in ("reuse_cells", "stale_reuse_sessions"):
        run(connection, f"DELETE FROM {table} WHERE session_id IN (SELECT unnest($ids))", ids)
    run(connection, _REFRESH, ids)
