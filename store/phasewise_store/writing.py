"""Write a batch of facts inside the caller's transaction: bulk inserts of polars frames.

What is a key is decided in `schema.py`; how a clash ends is the caller's choice of `Insert`.
"""

from collections.abc import Callable, Mapping, Sequence

import duckdb
import polars as pl

from phasewise_store import cells, finding_rows, rows, tool_text
from phasewise_store.arrow import to_frame
from phasewise_store.errors import StoreError
from phasewise_store.facts import Batch, LlmCall, Segment, Source, Written
from phasewise_store.statements import count, insert_frame, run
from phasewise_store.trie import ROOT, Node, PathFinder, segment_id

Insert = Callable[[duckdb.DuckDBPyConnection, str, pl.DataFrame], int]
"""Puts a frame into a table and gives the number of rows it put there."""


def write(connection: duckdb.DuckDBPyConnection, batch: Batch, insert: Insert) -> Written:
    """Write every fact of the batch; segments and trie nodes that exist are never touched."""
    source = batch.source
    run(
        connection,
        "INSERT INTO sources (source_id, name, format, path) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        [source.source_id, source.name, source.format, source.path],
    )
    cells.mark(
        connection,
        {
            fact.session_id
            for facts in (batch.llm_calls, batch.side_calls, batch.agents, batch.sessions)
            for fact in facts
        },
    )
    segments, nodes, calls = _content(connection, source, batch.llm_calls)
    insert(connection, "agents", rows.agents(batch.agents))
    insert(connection, "side_calls", rows.side_calls(source, batch.side_calls))
    _write_outcomes(connection, rows.outcomes(batch.outcomes))
    return Written(
        sessions=insert(connection, "sessions", rows.sessions(source, batch.sessions)),
        llm_calls=insert(connection, "llm_calls", calls),
        tool_calls=insert(connection, "tool_calls", rows.tool_calls(source, batch.tool_calls)),
        spans=insert(connection, "spans", rows.spans(batch.spans)),
        segments=segments,
        nodes=nodes,
    )


def _calls_frame(
    connection: duckdb.DuckDBPyConnection, source: Source, calls: Sequence[LlmCall]
) -> pl.DataFrame:
    return _content(connection, source, calls)[2]


def _content(
    connection: duckdb.DuckDBPyConnection, source: Source, calls: Sequence[LlmCall]
) -> tuple[int, int, pl.DataFrame]:
    """Write the segments and nodes of these calls; give how many are new, and the calls' rows."""
    fresh: dict[int, Node] = {}
    finder = PathFinder()
    leaves = [finder.leaf(call.agent_id, call.prompt, fresh) for call in calls]
    texts: dict[int, Segment] = {segment_id(n.segment): n.segment for n in fresh.values()}
    for call in calls:
        texts.update((segment_id(segment), segment) for segment in call.output)
    frame = rows.llm_calls(source, calls, leaves, _next_ordinal(connection))
    segments = _insert_segments(connection, texts)
    nodes = insert_new(connection, "nodes", rows.nodes(_unknown(connection, fresh)))
    return segments, nodes, frame


def insert_new(connection: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> int:
    """Insert the rows whose key is not in the table."""
    return insert_frame(connection, table, frame, "INSERT OR IGNORE")


def insert_or_replace(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    frame: pl.DataFrame,
    heirs: Mapping[str, str],
) -> int:
    """Insert all rows in the place of those with the same key.

    A call keeps its ordinal, and its prompt and output where it comes without; an heir takes those
    of the call whose place it takes. A tool keeps its text where it comes without.
    """
    if table == "tool_calls":
        return tool_text.replace_rows(connection, frame)
    if table != "llm_calls" or not frame.height:
        return insert_frame(connection, table, frame, "INSERT OR REPLACE")
    old = _old_rows(connection, frame.get_column("call_id").to_list(), heirs)
    return _put_in_place(connection, frame, old)


def complete(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    calls: Sequence[LlmCall],
    heirs: Mapping[str, str],
) -> None:
    """Put calls of which more is known now in the place of their rows.

    A call stays with the data set that it came with; a file's comes before what was received.
    """
    if not calls:
        return
    frame = _calls_frame(connection, source, calls)
    old = _old_rows(connection, frame.get_column("call_id").to_list(), heirs)
    sources = dict(old.select("call_id", "old_source").iter_rows())
    kept = [
        source.source_id if sources.get(name, "live") == "live" else sources[name]
        for name in frame.get_column("call_id")
    ]
    _put_in_place(connection, frame.with_columns(source_id=pl.Series(kept, dtype=pl.String)), old)


def _old_rows(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], heirs: Mapping[str, str]
) -> pl.DataFrame:
    """Return what a row keeps, by the id that the call has from now on."""
    places = pl.DataFrame(
        {"call_id": names, "old_id": [heirs.get(name, name) for name in names]},
        schema={"call_id": pl.String(), "old_id": pl.String()},
    )
    old = to_frame(
        connection.sql(
            "SELECT call_id AS old_id, ordinal AS old_ordinal, leaf_node AS old_leaf, "
            "output_segments AS old_output, source_id AS old_source, session_id AS old_session "
            "FROM llm_calls WHERE call_id IN (SELECT unnest($ids))",
            params={"ids": places.get_column("old_id").to_list()},
        )
    )
    return places.join(old, on="old_id", how="inner").drop("old_id")


def _put_in_place(
    connection: duckdb.DuckDBPyConnection, frame: pl.DataFrame, old: pl.DataFrame
) -> int:
    if not old.height:
        return insert_frame(connection, "llm_calls", frame, "INSERT")
    kept = (
        frame.join(old, on="call_id", how="left", maintain_order="left")
        .with_columns(
            ordinal=pl.coalesce("old_ordinal", "ordinal"),
            leaf_node=_unless(pl.col("leaf_node") == ROOT, "leaf_node", "old_leaf"),
            output_segments=_unless(
                pl.col("output_segments").list.len() == 0, "output_segments", "old_output"
            ),
        )
        .select(frame.columns)
    )
    cells.mark(connection, {*old.get_column("old_session"), *frame.get_column("session_id")})
    finding_rows.forget(connection, old.get_column("call_id").to_list())
    return insert_frame(connection, "llm_calls", kept, "INSERT OR REPLACE")


def _write_outcomes(connection: duckdb.DuckDBPyConnection, said: pl.DataFrame) -> None:
    """Write outcomes; one that was said later stays."""
    old = (
        to_frame(
            connection.sql(
                "SELECT session_id, said_ns AS old_ns FROM outcomes "
                "WHERE session_id IN (SELECT unnest($ids))",
                params={"ids": said.get_column("session_id").to_list()},
            )
        )
        if said.height
        else None
    )
    if old is not None:
        later = said.join(old, on="session_id", how="left").filter(
            pl.col("old_ns").fill_null(0) <= pl.col("said_ns").fill_null(0)
        )
        insert_frame(connection, "outcomes", later.select(said.columns), "INSERT OR REPLACE")


def _unless(missing: pl.Expr, new: str, old: str) -> pl.Expr:
    """Return the new column; where it is missing, the old one if there is one."""
    return pl.when(missing & pl.col(old).is_not_null()).then(pl.col(old)).otherwise(pl.col(new))


def _insert_segments(connection: duckdb.DuckDBPyConnection, texts: dict[int, Segment]) -> int:
    """Insert new segments; a clash of 64-bit numbers is refused, never stored as another's text."""
    known = connection.execute(
        "SELECT segment_id, digest FROM segments WHERE segment_id IN (SELECT unnest($ids))",
        {"ids": list(texts)},
    ).fetchall()
    for number, digest in known:
        if texts[number].digest != digest:
            raise StoreError(
                f"segment {number}: two texts share this 64-bit number; "
                "please report it with the file you were importing"
            )
        del texts[number]
    return insert_frame(connection, "segments", rows.segments(texts.values()), "INSERT")


def _unknown(connection: duckdb.DuckDBPyConnection, fresh: dict[int, Node]) -> list[Node]:
    """Drop the nodes that are stored already; cheaper than building their rows."""
    known = connection.execute(
        "SELECT node_id FROM nodes WHERE node_id IN (SELECT unnest($ids))",
        {"ids": list(fresh)},
    ).fetchall()
    for (number,) in known:
        del fresh[number]
    return list(fresh.values())


def _next_ordinal(connection: duckdb.DuckDBPyConnection) -> int:
    return count(connection, "SELECT coalesce(max(ordinal), 0) + 1 FROM llm_calls")
