"""Cells: the costs of calls, summed over all that a question can tell apart: few rows to add up.

A cell is one combination of hour, data set, session, agent, model and labels. Pages and commands
add cells up. The cells of a session are made again from its calls whenever one of them changes, so
they cannot drift from the rows: who changes a session's facts marks it, and `refresh` follows.
"""

from collections.abc import Collection

import duckdb

from phasewise_store import reuse_cells
from phasewise_store.cell_key import CELL_ID, KEY, hashed
from phasewise_store.statements import run

SUMS: dict[str, str] = {
    "calls": "count(*) FILTER (NOT c.is_side)",
    "analysed_calls": "count(k.call_id)",
    "input_tokens": "sum(c.input_tokens)",
    "uncached_tokens": "sum(c.uncached_tokens)",
    "cache_read_tokens": "sum(c.cache_read_tokens)",
    "cache_write_tokens": "sum(c.cache_write_5m_tokens + c.cache_write_1h_tokens)",
    "output_tokens": "sum(c.output_tokens)",
    "reasoning_tokens": "sum(c.reasoning_tokens)",
    "sent_before_tokens": "sum(k.sent_before_tokens)",
    "missed_tokens": "sum(k.missed_tokens)",
    "unreported_tokens": "sum(k.unreported_tokens)",
    "wasted_tokens": "sum(b.lost_tokens) FILTER (b.wasteful)",
    "priced_calls": "count(k.prefill_usd)",
    "prefill_usd": "sum(k.prefill_usd)",
    "prefill_low_usd": "sum(k.prefill_low_usd)",
    "prefill_high_usd": "sum(k.prefill_high_usd)",
    "cached_usd": "sum(k.cached_usd)",
    "unreported_usd": "sum(k.unreported_usd)",
    "missed_usd": "sum(k.missed_usd)",
    "wasted_usd": (
        "CASE WHEN count(k.missed_usd) > 0 "
        "THEN coalesce(sum(b.lost_usd) FILTER (b.wasteful), 0) END"
    ),
    "decode_usd": "sum(k.decode_usd)",
    "call_other_usd": "sum(k.other_usd)",
    "timed_calls": "count(*) FILTER (k.prefill_ns IS NOT NULL AND k.decode_ns IS NOT NULL)",
    "prefill_ns": "sum(k.prefill_ns) FILTER (k.decode_ns IS NOT NULL)",
    "saved_ns": "sum(k.saved_ns) FILTER (k.prefill_ns IS NOT NULL AND k.decode_ns IS NOT NULL)",
    "prefill_low_ns": "sum(k.prefill_low_ns) FILTER (k.decode_ns IS NOT NULL)",
    "prefill_high_ns": "sum(k.prefill_high_ns) FILTER (k.decode_ns IS NOT NULL)",
    "decode_ns": "sum(k.decode_ns) FILTER (k.prefill_ns IS NOT NULL)",
    "other_ns": "sum(k.other_ns) FILTER (k.prefill_ns IS NOT NULL AND k.decode_ns IS NOT NULL)",
    "estimated_calls": "count(*) FILTER (k.latency_basis = 'estimated')",
    "cache_unknown_calls": "count(*) FILTER (NOT c.cache_reported)",
    "ambiguous_calls": "count(*) FILTER (c.ambiguous)",
    "side_calls": "count(*) FILTER (c.is_side)",
    "unpriced_side_calls": "count(*) FILTER (c.is_side AND c.side_usd IS NULL)",
    "side_usd": "sum(c.side_usd)",
    "prompt_calls": "count(f.prompt_tokens)",
    "deep_calls": "count(*) FILTER (f.is_deep)",
    "judged_calls": (
        "count(*) FILTER (f.predicted_read IS NOT NULL AND f.reported_read IS NOT NULL)"
    ),
    "exact_calls": "count(*) FILTER (abs(f.predicted_read - f.reported_read) < f.granularity)",
    "diagnosed_calls": "count(f.agrees)",
    "agreed_calls": "count(*) FILTER (f.agrees)",
}
"""what is kept of a cell's calls, by column: everything here can be added up over cells"""

_BOUNDS: dict[str, str] = {
    "first_ordinal": "min(c.ordinal)",
    "last_ordinal": "max(c.ordinal)",
    "first_ns": "min(c.started_ns)",
    "last_ns": "max(c.started_ns + coalesce(c.duration_ns, 0))",
    "first_prompt_ns": "min(c.started_ns) FILTER (f.prompt_tokens IS NOT NULL)",
    "last_prompt_ns": "max(c.started_ns) FILTER (f.prompt_tokens IS NOT NULL)",
    "first_step": "min(c.step)",
    "is_sub_agent": "bool_and(a.parent_agent_id IS NOT NULL) FILTER (NOT c.is_side)",
}
"""what the least and the most of over cells mean something"""

_ROWS = """
FROM (
    SELECT *, FALSE AS is_side, NULL::DECIMAL(24, 12) AS side_usd
    FROM llm_calls
    WHERE session_id IN (SELECT unnest($ids))
    UNION ALL BY NAME
    SELECT side_call_id AS call_id, source_id, session_id, agent_id, provider, model, started_ns,
           duration_ns, TRUE AS is_side, usd AS side_usd
    FROM side_calls
    WHERE session_id IN (SELECT unnest($ids))
) c
JOIN sources s USING (source_id)
LEFT JOIN agents a USING (agent_id)
LEFT JOIN call_costs k USING (call_id)
LEFT JOIN call_findings f USING (call_id)
LEFT JOIN breaks b USING (call_id)
"""


def _listed(expressions: dict[str, str]) -> str:
    return ",\n    ".join(f"{made} AS {name}" for name, made in expressions.items())


_INSERT_CELLS = f"""
INSERT INTO cells BY NAME
SELECT {hashed({name: name for name in KEY})} AS cell_id, *
FROM (
    SELECT
    {_listed(KEY | SUMS | _BOUNDS)}
    {_ROWS}
    GROUP BY {", ".join(KEY.values())}
)
"""

_INSERT_TIMES = """
INSERT INTO session_times
SELECT
    c.session_id,
    coalesce(any_value(n.started_ns), min(c.first_ns)),
    greatest(any_value(n.ended_ns), max(c.last_ns)),
    min(c.first_ordinal)
FROM cells c
LEFT JOIN sessions n USING (session_id)
WHERE c.session_id IN (SELECT unnest($ids))
GROUP BY c.session_id
"""

_RENUMBER = f"""
UPDATE {{table}} AS f
SET cell_id = now.cell_id
FROM (
    SELECT c.call_id, {CELL_ID} AS cell_id
    FROM llm_calls c
    JOIN sources s USING (source_id)
    LEFT JOIN agents a USING (agent_id)
    WHERE c.session_id IN (SELECT unnest($ids))
) AS now
WHERE f.session_id IN (SELECT unnest($ids))
  AND f.call_id = now.call_id
  AND f.cell_id <> now.cell_id
"""

_INSERT_REASONS = """
INSERT INTO cell_reasons BY NAME
SELECT cell_id, session_id, part.reason AS reason, count(*) AS calls, sum(part.tokens) AS tokens,
       sum(part.usd) AS usd, sum(part.extra_usd) AS extra_usd,
       max(part.tokens) AS most_tokens, max(part.usd) AS most_usd
FROM (
    SELECT cell_id, session_id, unnest(reasons) AS part
    FROM call_findings
    WHERE session_id IN (SELECT unnest($ids))
)
GROUP BY cell_id, session_id, part.reason
"""

SLICE = 4_000
"""sessions made again in one transaction: others write between two"""


def mark(connection: duckdb.DuckDBPyConnection, session_ids: Collection[str]) -> None:
    """Say that facts of these sessions changed, in the transaction that changes them."""
    if session_ids:
        run(
            connection,
            "INSERT INTO stale_sessions SELECT unnest($ids)",
            {"ids": list(session_ids)},
        )


def mark_calls(connection: duckdb.DuckDBPyConnection, call_ids: Collection[str]) -> None:
    """Say that facts of the sessions of these calls changed, or will: before they are gone."""
    run(
        connection,
        "INSERT INTO stale_sessions SELECT DISTINCT session_id FROM llm_calls "
        "WHERE call_id IN (SELECT unnest($ids))",
        {"ids": list(call_ids)},
    )


def mark_source(connection: duckdb.DuckDBPyConnection, source: str) -> None:
    """Say that facts of all sessions of a data set changed."""
    run(
        connection,
        "INSERT INTO stale_sessions SELECT DISTINCT session_id FROM llm_calls "
        "JOIN sources USING (source_id) WHERE name = $source",
        {"source": source},
    )


def refresh(connection: duckdb.DuckDBPyConnection) -> bool:
    """Make the cells of some marked sessions again, at most `SLICE`; say whether any are left.

    It is one transaction with what it is called in.
    """
    found = run(connection, f"SELECT DISTINCT session_id FROM stale_sessions LIMIT {SLICE}")
    if not found:
        return False
    stale = {"ids": [name for (name,) in found]}
    for table in ("call_findings", "breaks"):
        run(connection, _RENUMBER.format(table=table), stale)
    for table in ("cells", "cell_reasons", "session_times", "stale_sessions"):
        run(connection, f"DELETE FROM {table} WHERE session_id IN (SELECT unnest($ids))", stale)
    run(connection, _INSERT_CELLS, stale)
    run(connection, _INSERT_TIMES, stale)
    run(connection, _INSERT_REASONS, stale)
    reuse_cells.mark(connection, [str(name) for (name,) in found])
    return bool(run(connection, "SELECT 1 FROM stale_sessions LIMIT 1"))
