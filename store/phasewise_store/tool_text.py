"""Arguments, results and errors of tool calls, stored with the calls.

A later description may lack the text: spans are stored without it, and a file may contain less than
a span. The stored text is then kept.
"""

from collections.abc import Iterable

import duckdb
import polars as pl

from phasewise_store.arrow import ArrowTable, to_frame
from phasewise_store.facts import MOST_TOOL_TEXT, ToolCall
from phasewise_store.statements import insert_frame, run

CUT = "[TRUNCATED by phasewise: {characters:,} characters]"
"""the end of a text that was longer, with its whole length"""

_FILL = """
UPDATE tool_calls
SET arguments = coalesce(tool_calls.arguments, i.arguments),
    result = coalesce(tool_calls.result, i.result),
    error = coalesce(tool_calls.error, i.error)
FROM incoming AS i
WHERE tool_calls.tool_call_id = i.tool_call_id
"""
_STORED = """
SELECT tool_call_id, arguments AS old_arguments, result AS old_result
FROM tool_calls
WHERE tool_call_id IN (SELECT unnest($ids))
"""
_TEXTS = ("arguments", "result")


def stored(text: str | None) -> str | None:
    """Return a text as it is stored: cut where it is too long, and marked then."""
    if text is None:
        return None
    # a lone half of a surrogate pair is no UTF-8
    text = text.encode("utf-8", "replace").decode()
    if len(text) <= MOST_TOOL_TEXT:
        return text
    mark = CUT.format(characters=len(text))
    return text[: MOST_TOOL_TEXT - len(mark)] + mark


def fill(connection: duckdb.DuckDBPyConnection, tools: Iterable[ToolCall]) -> None:
    """Add text and errors to runs that are stored without; no other column changes."""
    told = [one for one in tools if one.arguments is not None or one.result is not None]
    if not told:
        return
    frame = pl.DataFrame(
        {
            "tool_call_id": [one.tool_call_id for one in told],
            "arguments": [stored(one.arguments) for one in told],
            "result": [stored(one.result) for one in told],
            "error": [one.error for one in told],
        },
        schema=dict.fromkeys(("tool_call_id", *_TEXTS, "error"), pl.String()),
    )
    connection.register("incoming", ArrowTable(frame))
    try:
        run(connection, _FILL)
    finally:
        connection.unregister("incoming")


def replace_rows(connection: duckdb.DuckDBPyConnection, frame: pl.DataFrame) -> int:
    """Put rows of `tool_calls` in the place of those with the same ids, which keep their text."""
    if not frame.height:
        return 0
    ids = {"ids": frame.get_column("tool_call_id").to_list()}
    old = to_frame(connection.sql(_STORED, params=ids))
    kept = frame.join(old, on="tool_call_id", how="left", maintain_order="left").with_columns(
        pl.coalesce(name, f"old_{name}").alias(name) for name in _TEXTS
    )
    return insert_frame(connection, "tool_calls", kept.select(frame.columns), "INSERT OR REPLACE")
