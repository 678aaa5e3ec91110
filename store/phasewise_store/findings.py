"""Read what the analyzer found of each call; pages and commands compute nothing for a look."""

import polars as pl

from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store


def of_calls(store: Store, scope: Scope = EVERYTHING) -> pl.DataFrame:
    """Return the columns of `call_findings` for the calls in scope, in order of arrival."""
    return _read(store, "call_findings", scope)


def breaks(store: Store, scope: Scope = EVERYTHING) -> pl.DataFrame:
    """Return the columns of `breaks` for the calls in scope, in order of arrival."""
    return _read(store, "breaks", scope)


def analysed(store: Store) -> pl.DataFrame:
    """Return the columns of `analysed_sources`, by name."""
    return store.frame("SELECT * FROM analysed_sources ORDER BY source")


def _read(store: Store, table: str, scope: Scope) -> pl.DataFrame:
    condition, parameters = scope.condition()
    return store.frame(
        f"SELECT f.* FROM {table} f JOIN llm_calls c USING (call_id) "
        "JOIN sources s USING (source_id) LEFT JOIN agents a USING (agent_id) "
        f"WHERE {condition} ORDER BY f.ordinal",
        parameters,
    )
