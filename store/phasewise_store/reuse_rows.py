"""What each call shares with earlier ones of its data set: one row per call, summed per cell.

The analyzer makes the rows (`prefixes/call_reuse`); pages and commands add the sums of the cells in
scope (`prefixes/kept_reuse`).
"""

from collections.abc import Collection

import polars as pl

from phasewise_store import reuse_cells
from phasewise_store.scope import Scope
from phasewise_store.statements import insert_frame, run
from phasewise_store.store import Store

_CALLS = """
FROM llm_calls c
JOIN sources s USING (source_id)
LEFT JOIN agents a USING (agent_id)
"""
_IS_CURRENT = "r.leaf_node = c.leaf_node AND r.input_tokens = c.input_tokens"
"""a row that was made of another prompt is to be made again"""

_SUMMED = ", ".join(
    f"coalesce({'max' if name == 'block_tokens' else 'sum'}({name}), 0)"
    f"::{'DOUBLE' if name == 'prompt_blocks' else 'BIGINT'} AS {name}"
    for name in reuse_cells.COUNTS
)


def sources(store: Store, scope: Scope) -> list[str]:
    """Give the names of the data sets in scope that are there."""
    found = store.frame("SELECT DISTINCT name FROM sources ORDER BY name")
    names: list[str] = found["name"].to_list()
    return [name for name in names if scope.source in (None, name)]


def calls(store: Store, source: str, *, after: int = -1) -> pl.DataFrame:
    """Give what reuse is made of, for the calls of a data set behind one, in order of arrival.

    Columns of `llm_calls`, `agent` (the role's name), and `timed`: whether a start is known.
    """
    return store.frame(
        "SELECT c.ordinal, c.source_id, c.session_id, c.agent_id, a.name AS agent, c.model, "
        "c.started_ns, c.started_ns IS NOT NULL AS timed, c.input_tokens, c.output_tokens, "
        f"coalesce(c.block_tokens, 0) AS block_tokens, c.leaf_node {_CALLS} "
        "WHERE s.name = $source AND c.ordinal > $after ORDER BY c.ordinal",
        {"source": source, "after": after},
    )


def ordinals(store: Store, scope: Scope) -> pl.DataFrame:
    """Give the numbers of the calls in scope, which they keep for good."""
    condition, parameters = scope.condition()
    return store.frame(f"SELECT c.ordinal {_CALLS} WHERE {condition}", parameters)


def waiting(store: Store) -> pl.DataFrame:
    """Count the calls whose row is to be made: columns `source` (data set name) and `calls`."""
    return store.frame(
        "SELECT s.name AS source, count(*) AS calls FROM llm_calls c "
        f"JOIN sources s USING (source_id) LEFT JOIN call_reuse r USING (ordinal) "
        f"WHERE NOT coalesce({_IS_CURRENT}, FALSE) GROUP BY s.name ORDER BY s.name"
    )


def missing(store: Store, source: str) -> list[int]:
    """Give the numbers of a data set's calls whose row is to be made, in order."""
    found = store.frame(
        "SELECT c.ordinal FROM llm_calls c JOIN sources s USING (source_id) "
        f"LEFT JOIN call_reuse r USING (ordinal) WHERE s.name = $source "
        f"AND NOT coalesce({_IS_CURRENT}, FALSE) ORDER BY c.ordinal",
        {"source": source},
    )
    numbers: list[int] = found["ordinal"].to_list()
    return numbers


def behind(store: Store) -> list[str]:
    """Give the data sets of which rows are missing, by what the cells count."""
    found = store.frame(
        "SELECT c.source FROM (SELECT source, sum(calls) AS calls FROM cells GROUP BY source) c "
        "LEFT JOIN (SELECT source, sum(calls) AS calls FROM reuse_cells GROUP BY source) r "
        "USING (source) WHERE c.calls > coalesce(r.calls, 0) ORDER BY c.source"
    )
    names: list[str] = found["source"].to_list()
    return names


def replace(store: Store, source: str, rows: pl.DataFrame) -> None:
    """Put rows in the place of all that are there of a data set."""
    with store.transaction() as connection:
        run(
            connection,
            "DELETE FROM call_reuse WHERE ordinal IN ("
            "SELECT ordinal FROM llm_calls JOIN sources USING (source_id) WHERE name = $source)",
            {"source": source},
        )
        insert_frame(connection, "call_reuse", rows, "INSERT")
        run(connection, "DELETE FROM reuse_cells WHERE source = $source", {"source": source})
        found = run(
            connection,
            "SELECT DISTINCT session_id FROM llm_calls JOIN sources USING (source_id) "
            "WHERE name = $source",
            {"source": source},
        )
        reuse_cells.refresh(connection, [str(name) for (name,) in found])


def add(store: Store, rows: pl.DataFrame, session_ids: Collection[str]) -> None:
    """Add the rows of some calls of these sessions, in the place of those that are there."""
    with store.transaction() as connection:
        run(
            connection,
            "DELETE FROM call_reuse WHERE ordinal IN (SELECT unnest($ordinals))",
            {"ordinals": rows["ordinal"].to_list()},
        )
        insert_frame(connection, "call_reuse", rows, "INSERT")
        reuse_cells.refresh(connection, session_ids)


def settle(store: Store) -> None:
    """Make the cells of the marked sessions again, some in each transaction."""
    while store.frame("SELECT 1 FROM stale_reuse_sessions LIMIT 1").height:
        with store.transaction() as connection:
            reuse_cells.refresh(connection, reuse_cells.marked(connection))


def counts(store: Store, scope: Scope) -> dict[str, int | float]:
    """Sum what is counted over the calls in scope."""
    condition, parameters = scope.of_cells()
    return store.frame(f"SELECT {_SUMMED} FROM reuse_cells c WHERE {condition}", parameters).row(
        0, named=True
    )


def steps(store: Store, scope: Scope, curve: str) -> pl.DataFrame:
    """Sum what each step of a curve (`lru`, `ttl`) adds: columns step, blocks, tokens."""
    condition, parameters = scope.of_cells()
    return store.frame(
        "SELECT one.step AS step, sum(one.blocks)::BIGINT AS blocks, "
        "sum(one.tokens)::BIGINT AS tokens "
        f"FROM (SELECT unnest({curve}) AS one FROM reuse_cells c WHERE {condition}) "
        "GROUP BY one.step",
        parameters,
    )


def groups(store: Store, scope: Scope, column: str, limit: int | None) -> pl.DataFrame:
    """Sum what is counted over each group in scope, in the order of their first calls.

    `column` is of `reuse_cells`, or `path` for the files; columns `key`, `groups` (how many there
    are) and what is counted.
    """
    condition, parameters = scope.of_cells()
    key = "s.path" if column == "path" else f"c.{column}"
    joined = "JOIN sources s USING (source_id)" if column == "path" else ""
    return store.frame(
        f"SELECT coalesce({key}, 'unknown') AS key, count(*) OVER () AS groups, {_SUMMED} "
        f"FROM reuse_cells c {joined} WHERE {condition} GROUP BY 1 "
        f"ORDER BY min(first_ordinal) LIMIT {'ALL' if limit is None else int(limit)}",
        parameters,
    )
