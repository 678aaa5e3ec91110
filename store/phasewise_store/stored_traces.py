"""Traces that are stored in part: read back what is there, take back what proved to be wrong.

The collector derives a trace again whenever more of it arrives; it may have dropped the trace from
its memory by then, or have been restarted.
"""

from collections.abc import Collection

import duckdb
import orjson

from phasewise_store.facts import LlmCall, Span, Usage
from phasewise_store.statements import run
from phasewise_store.store import Store

_SPANS = """
SELECT trace_id, span_id, parent_span_id, name, kind, start_ns, end_ns, scope_name, scope_version,
       service_name, status, status_message, attributes, dropped_attributes, session_id, agent_id
FROM spans
WHERE trace_id IN (SELECT unnest($ids))
"""

_CALLS = """
SELECT *
FROM llm_calls
WHERE trace_id IN (SELECT unnest($ids))
  AND span_id IS NOT NULL
"""

_UNUSED_AGENTS = """
DELETE FROM agents
WHERE session_id IN (SELECT unnest($ids))
  AND agent_id NOT IN (SELECT agent_id FROM llm_calls)
  AND agent_id NOT IN (SELECT agent_id FROM tool_calls)
  AND agent_id NOT IN (SELECT parent_agent_id FROM agents WHERE parent_agent_id IS NOT NULL)
"""

_UNUSED_SESSIONS = """
DELETE FROM sessions
WHERE session_id IN (SELECT unnest($ids))
  AND session_id NOT IN (SELECT session_id FROM llm_calls)
  AND session_id NOT IN (SELECT session_id FROM tool_calls)
"""

_USAGE = (
    "uncached_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "ambiguous",
    "cache_reported",
    "input_tokens_high",
)
_FACTS = tuple(
    name for name in LlmCall.__slots__ if name not in {"usage", "prompt", "output", "request"}
)


def spans(store: Store, trace_ids: Collection[str]) -> list[Span]:
    """Give the stored spans of these traces."""
    found = store.frame(_SPANS, {"ids": list(trace_ids)})
    return [
        Span(**row | {"attributes": orjson.loads(row["attributes"])})
        for row in found.iter_rows(named=True)
    ]


def llm_calls(store: Store, trace_ids: Collection[str]) -> list[LlmCall]:
    """Give the stored calls that these traces' spans describe, without prompt and output.

    `Store.rewrite` keeps the prompt and the output of a call that comes without.
    """
    found = store.frame(_CALLS, {"ids": list(trace_ids)})
    return [
        LlmCall(
            **{name: row[name] for name in _FACTS},
            usage=Usage(origin=row["usage_origin"], **{name: row[name] for name in _USAGE}),
            request=orjson.loads(row["request"]),
        )
        for row in found.iter_rows(named=True)
    ]


def retract_llm_calls(connection: duckdb.DuckDBPyConnection, call_ids: Collection[str]) -> None:
    """Take back calls that a later span showed to be part of another call."""
    parameters = {"ids": list(call_ids)}
    run(connection, "DELETE FROM call_costs WHERE call_id IN (SELECT unnest($ids))", parameters)
    run(connection, "DELETE FROM llm_calls WHERE call_id IN (SELECT unnest($ids))", parameters)


def drop_unused(connection: duckdb.DuckDBPyConnection, session_ids: Collection[str]) -> None:
    """Drop what no call refers to any more: agents of these sessions, and the sessions."""
    parameters = {"ids": list(session_ids)}
    run(connection, _UNUSED_AGENTS, parameters)
    run(connection, _UNUSED_SESSIONS, parameters)
