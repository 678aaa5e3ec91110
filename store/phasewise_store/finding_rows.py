"""Write what the analyzer found of each call: rows that live as long as the call's costs.

They are written with `call_costs` and forgotten with it, when a better description of the call
arrives. `findings` reads them.
"""

from collections.abc import Collection

import duckdb
import polars as pl

from phasewise_store.arrow import ArrowTable
from phasewise_store.cell_key import CELL_ID
from phasewise_store.statements import run

_MONEY = pl.Decimal(24, 12)

FINDINGS: dict[str, pl.DataType] = {
    "ordinal": pl.Int64(),
    "prompt_tokens": pl.Int64(),
    "sent_before": pl.Int64(),
    "previous_shared": pl.Int64(),
    "policy": pl.String(),
    "predicted_read": pl.Int64(),
    "reported_read": pl.Int64(),
    "granularity": pl.Int32(),
    "first_of_stream": pl.Boolean(),
    "is_deep": pl.Boolean(),
    "provider_says": pl.String(),
    "agrees": pl.Boolean(),
    "reasons": pl.List(
        pl.Struct({"reason": pl.String(), "tokens": pl.Int64(), "usd": _MONEY, "extra_usd": _MONEY})
    ),
}
"""what the analyzer says of a call, by column of `call_findings`"""

BREAKS: dict[str, pl.DataType] = {
    "ordinal": pl.Int64(),
    "after_call_id": pl.String(),
    "gap_s": pl.Float64(),
    "cause": pl.String(),
    "wasteful": pl.Boolean(),
    "tier": pl.String(),
    "place": pl.String(),
    "template": pl.String(),
    "before": pl.String(),
    "after": pl.String(),
    "expected_tokens": pl.Int64(),
    "shared_tokens": pl.Int64(),
    "read_tokens": pl.Int64(),
    "lost_tokens": pl.Int64(),
    "lost_usd": _MONEY,
    "provider_says": pl.String(),
}
"""what it says of a break, by column of `breaks`"""

_OF_CALLS: dict[str, str] = {
    "call_findings": f"c.call_id, {CELL_ID} AS cell_id, c.session_id",
    "breaks": (
        f"c.call_id, {CELL_ID} AS cell_id, s.name AS source, c.session_id, a.name AS agent, "
        "c.model, c.step"
    ),
}
"""SQL of what the rows of a table say of their calls"""

# by ordinal, which a call keeps for good: calls of one batch stand together there
_INSERT = """
INSERT OR REPLACE INTO {table} BY NAME
SELECT {of_call}, incoming.*
FROM incoming
JOIN llm_calls c USING (ordinal)
JOIN sources s USING (source_id)
LEFT JOIN agents a USING (agent_id)
"""

_DONE = "UPDATE reanalyses SET done_calls = calls WHERE source = $source"
_ALL_DONE = """
DELETE FROM reanalyses
WHERE NOT EXISTS (SELECT 1 FROM reanalyses WHERE done_calls < calls)
"""

_UNBROKEN = "DELETE FROM breaks WHERE ordinal IN (SELECT unnest($sound))"


def save(
    connection: duckdb.DuckDBPyConnection, findings: pl.DataFrame, breaks: pl.DataFrame
) -> None:
    """Replace what was found of these calls; the frames have the columns FINDINGS and BREAKS."""
    sound = findings.join(breaks, on="ordinal", how="anti")["ordinal"]
    run(connection, _UNBROKEN, {"sound": sound.to_list()})
    for table, frame in (("call_findings", findings), ("breaks", breaks)):
        connection.register("incoming", ArrowTable(frame))
        try:
            run(connection, _INSERT.format(table=table, of_call=_OF_CALLS[table]))
        finally:
            connection.unregister("incoming")


def say_analysed(connection: duckdb.DuckDBPyConnection, source: str, version: str) -> None:
    """Keep that a data set is analysed by this version, as of now, and no longer under way."""
    run(
        connection,
        "INSERT OR REPLACE INTO analysed_sources VALUES (?, ?, current_timestamp::TIMESTAMP)",
        [source, version],
    )
    if run(connection, "SELECT 1 FROM reanalyses WHERE source = $source", {"source": source}):
        run(connection, _DONE, {"source": source})
        run(connection, _ALL_DONE)


def forget(connection: duckdb.DuckDBPyConnection, call_ids: Collection[str]) -> None:
    """Drop costs and findings of calls that are no more, or of which more is known now."""
    for table in ("call_costs", "call_findings", "breaks"):
        run(
            connection,
            f"DELETE FROM {table} WHERE call_id IN (SELECT unnest($ids))",
            {"ids": list(call_ids)},
        )
