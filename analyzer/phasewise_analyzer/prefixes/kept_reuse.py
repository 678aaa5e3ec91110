"""Prompt reuse from the rows that are kept: made when calls are analysed, added up when asked.

`find` answers like `reuse.find`, of the calls that have rows; `grow` makes what is missing.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import polars as pl
from phasewise_store import reuse_rows
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer.findings import Prefixes
from phasewise_analyzer.groups import By
from phasewise_analyzer.prefixes import prefix_tree, reuse, reuse_sums
from phasewise_analyzer.prefixes.reuse_sums import Steps

Step = Callable[[int, int, str], None]
"""how many of how many calls are done, and of which data set"""

_COLUMNS: dict[By, str] = {
    "file": "path",
    "session": "session_id",
    "agent": "agent",
    "model": "model",
}


def find(
    store: Store,
    scope: Scope = EVERYTHING,
    *,
    capacities: Sequence[int] = (),
    by: By | None = None,
    most_groups: int | None = None,
) -> tuple[Prefixes, int]:
    """Give the reuse of the calls in scope that have rows, and how many groups there are.

    `capacities` are some of `call_reuse.CAPACITIES`; of the groups the first `most_groups`.
    """
    counts = reuse_rows.counts(store, scope)
    steps = Steps(reuse_rows.steps(store, scope, "lru"), reuse_rows.steps(store, scope, "ttl"))
    found = reuse_sums.prefixes(counts, steps, (), capacities)
    if by is None:
        return found, 0
    groups = reuse_rows.groups(store, scope, _COLUMNS[by], most_groups)
    some = tuple(reuse_sums.group(row["key"], row, by) for row in groups.iter_rows(named=True))
    return replace(found, groups=some), groups["groups"][0] if some else 0


def compare(store: Store, source: str) -> None:
    """Make and keep the rows of all calls of a data set."""
    with store.snapshot():
        calls = reuse_rows.calls(store, source)
        tree = prefix_tree.read(store, Scope(source=source))
        rows = reuse.of_source(store, calls, tree)
    prompts = calls.select("ordinal", "leaf_node", "input_tokens")
    reuse_rows.replace(store, source, prompts.join(rows, on="ordinal", maintain_order="left"))


def grow(store: Store, *, step: Step | None = None, without: str | None = None) -> None:
    """Make what is missing of every data set, `without` one that somebody else takes care of."""
    waiting = reuse_rows.waiting(store).filter(pl.col("source") != (without or ""))
    total, done = int(waiting["calls"].sum()), 0
    for source, calls in waiting.iter_rows():
        if step is not None:
            step(done, total, f"comparing prompts of {source}")
        compare(store, source)
        done += calls
    reuse_rows.settle(store)
    if step is not None and total:
        step(total, total, "")
