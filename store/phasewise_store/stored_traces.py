"""Traces that are stored in part: read back what is stored, and remove what proved to be wrong.

The collector derives a trace again whenever more of it arrives. By then it may have dropped the
trace from memory, or have been restarted.
"""

from collections.abc import Collection
from dataclasses import astuple, dataclass, fields

import duckdb
import orjson
import polars as pl

from phasewise_store import call_rows, cells
from phasewise_store.facts import LlmCall, Span
from phasewise_store.statements import run
from phasewise_store.store import Store

_SPANS = """
SELECT trace_id, span_id, parent_span_id, name, kind, start_ns, end_ns, scope_name, scope_version,
       service_name, status, status_message, attributes, dropped_attributes, session_id, agent_id,
       response_id
FROM spans
WHERE rowid IN (SELECT unnest($rows))
"""

_CALLS = """
SELECT *
FROM llm_calls
WHERE span_id IS NOT NULL
  AND (
    trace_id IN (SELECT unnest($ids))
    OR call_id IN (SELECT unnest($calls))
  )
"""

_OF_RESPONSES = """
SELECT DISTINCT trace_id
FROM spans
WHERE response_id IN (SELECT unnest($ids))
"""

_ALIKE = """
SELECT DISTINCT c.trace_id
FROM alike AS a
CROSS JOIN (VALUES (-1), (0), (1)) AS beside(step)
JOIN llm_calls AS c
  ON c.input_tokens = a.input_tokens
 AND c.output_tokens = a.output_tokens
 AND c.started_ns // $bucket_ns = a.start_ns // $bucket_ns + beside.step
WHERE c.started_ns BETWEEN $first_ns AND $last_ns
  AND c.started_ns <= a.end_ns + $slack_ns
  AND c.started_ns + c.duration_ns >= a.start_ns - $slack_ns
  AND c.span_id IS NOT NULL
"""
_AT_THE_SAME_TIME = """
SELECT DISTINCT c.trace_id
FROM moments AS a
CROSS JOIN (VALUES (-1), (0), (1)) AS beside(step)
JOIN llm_calls AS c
  ON c.started_ns // $bucket_ns = a.start_ns // $bucket_ns + beside.step
WHERE c.started_ns BETWEEN $first_ns AND $last_ns
  AND c.started_ns <= a.end_ns + $slack_ns
  AND c.started_ns + c.duration_ns >= a.start_ns - $slack_ns
  AND NOT (a.reported AND c.usage_origin = 'reported' AND c.input_tokens > 0)
  AND c.span_id IS NOT NULL
"""
_SILENT = """
SELECT 1
FROM llm_calls
WHERE started_ns BETWEEN $first_ns AND $last_ns
  AND (usage_origin <> 'reported' OR input_tokens = 0)
LIMIT 1
"""
_BUCKET_NS = 10 * 10**9
"""two descriptions of one call start together, give or take what a framework does before it asks"""


def spans(store: Store, trace_ids: Collection[str]) -> list[Span]:
    """Return the stored spans of these traces, mostly none: then only their ids are looked at."""
    rows = store.frame(
        "SELECT rowid FROM spans WHERE trace_id IN (SELECT unnest($ids))", {"ids": list(trace_ids)}
    )
    if not rows.height:
        return []
    found = store.frame(_SPANS, {"rows": rows["rowid"].to_list()})
    return [
        Span(**row | {"attributes": orjson.loads(row["attributes"])})
        for row in found.iter_rows(named=True)
    ]


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a call has in common with another description of it that shares no id with it."""

    input_tokens: int
    output_tokens: int
    start_ns: int
    end_ns: int


def related(
    store: Store, response_ids: Collection[str], alike: Collection[Likeness], slack_ns: int
) -> set[str]:
    """Give the traces that may describe the same calls: by response id, or by tokens and moment."""
    found: set[str] = set()
    if response_ids:
        rows = store.frame(_OF_RESPONSES, {"ids": list(response_ids)})
        found.update(rows.get_column("trace_id").to_list())
    if alike:
        frame = pl.DataFrame(
            [astuple(one) for one in alike],
            schema=[field.name for field in fields(Likeness)],
            orient="row",
        )
        bounds = {
            "slack_ns": slack_ns,
            "bucket_ns": _BUCKET_NS,
            "first_ns": min(one.start_ns for one in alike) - 2 * _BUCKET_NS,
            "last_ns": max(one.start_ns for one in alike) + 2 * _BUCKET_NS,
        }
        rows = store.frame(_ALIKE, bounds, tables={"alike": frame})
        found.update(rows.get_column("trace_id").to_list())
    return found


@dataclass(frozen=True, slots=True)
class Moment:
    """When a call was made, and whether its description reports tokens."""

    start_ns: int
    end_ns: int
    reported: bool


def at_the_same_time(store: Store, moments: Collection[Moment], slack_ns: int) -> set[str]:
    """Return the traces with calls at these moments, where one of both reports no tokens."""
    if not moments:
        return set()
    bounds = {
        "first_ns": min(one.start_ns for one in moments) - 2 * _BUCKET_NS,
        "last_ns": max(one.start_ns for one in moments) + 2 * _BUCKET_NS,
    }
    if all(one.reported for one in moments) and not store.frame(_SILENT, bounds).height:
        return set()
    frame = pl.DataFrame(
        [astuple(one) for one in moments],
        schema=[field.name for field in fields(Moment)],
        orient="row",
    )
    limits = bounds | {"slack_ns": slack_ns, "bucket_ns": _BUCKET_NS}
    rows = store.frame(_AT_THE_SAME_TIME, limits, tables={"moments": frame})
    return set(rows.get_column("trace_id").to_list())


def llm_calls(
    store: Store, trace_ids: Collection[str], call_ids: Collection[str] = ()
) -> list[LlmCall]:
    """Return the stored calls of these traces, and these calls, without prompt and output.

    `Store.rewrite` keeps the prompt and the output of a call that comes without.
    """
    found = store.frame(_CALLS, {"ids": list(trace_ids), "calls": list(call_ids)})
    return [call_rows.call_of(row) for row in found.iter_rows(named=True)]


def retract_side_calls(
    connection: duckdb.DuckDBPyConnection, trace_ids: Collection[str], kept: Collection[str]
) -> None:
    """Take back side calls of these traces that a later span showed to be described twice."""
    gone = run(
        connection,
        "DELETE FROM side_calls WHERE trace_id IN (SELECT unnest($ids)) "
        "AND side_call_id NOT IN (SELECT unnest($kept)) RETURNING session_id",
        {"ids": list(trace_ids), "kept": list(kept)},
    )
    cells.mark(connection, {str(name) for (name,) in gone})


def retract_tool_calls(
    connection: duckdb.DuckDBPyConnection, trace_ids: Collection[str], kept: Collection[str]
) -> None:
    """Take back tool runs of these traces that a later span showed to be described twice."""
    run(
        connection,
        "DELETE FROM tool_calls WHERE trace_id IN (SELECT unnest($ids)) AND NOT derived "
        "AND tool_call_id NOT IN (SELECT unnest($kept))",
        {"ids": list(trace_ids), "kept": list(kept)},
    )
