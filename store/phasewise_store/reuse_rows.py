"""What each call shares with earlier ones of its data set: one row per call, summed per cell.

The analyzer makes the rows (`prefixes/call_reuse`); pages and commands add the sums of the cells in
scope.
"""

import polars as pl

from phasewise_store.scope import Scope
from phasewise_store.store import Store

_CALLS = """
FROM llm_calls c
JOIN sources s USING (source_id)
LEFT JOIN agents a USING (agent_id)
"""


def sources(store: Store, scope: Scope) -> list[str]:
    """Give the names of the data sets in scope that are there."""
    names: list[str] = store.frame("SELECT DISTINCT name FROM sources ORDER BY name")[
        "name"
    ].to_list()
    return [name for name in names if scope.source in (None, name)]


def calls(store: Store, source: str) -> pl.DataFrame:
    """Give what reuse is made of, for the calls of a data set in order of arrival.

    Columns of `llm_calls`, `agent` (the role's name), and `timed`: whether a start is known.
    """
    return store.frame(
        "SELECT c.ordinal, c.source_id, c.session_id, c.agent_id, a.name AS agent, c.model, "
        "c.started_ns, c.started_ns IS NOT NULL AS timed, c.input_tokens, c.output_tokens, "
        f"coalesce(c.block_tokens, 0) AS block_tokens, c.leaf_node {_CALLS} WHERE s.name = $source ORDER BY c.ordinal",
        {"source": source},
    )


def ordinals(store: Store, scope: Scope) -> pl.DataFrame:
    """Give the numbers of the calls in scope, which they keep for good."""
    condition, parameters = scope.condition()
    return store.frame(f"SELECT c.ordinal {_CALLS} WHERE {condition}", parameters)
