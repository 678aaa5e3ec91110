"""Find what prompts share with earlier ones: reuse, groups, and what caches of any size would hold.

What a call shares depends on its data set; a scope only chooses whose rows are added up. `find`
makes the rows anew: it is the simplest version, for capacities that nobody keeps, and what tests
hold the kept rows (`kept_reuse`) against.
"""

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np
import polars as pl
from phasewise_store import reuse_rows
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer import groups
from phasewise_analyzer.findings import Group, Prefixes
from phasewise_analyzer.groups import By
from phasewise_analyzer.prefixes import (
    call_reuse,
    hit_rates,
    lru,
    prefix_tree,
    reuse_sums,
    shared_prefixes,
    ttl,
)
from phasewise_analyzer.prefixes.call_reuse import CAPACITIES, Yardstick
from phasewise_analyzer.prefixes.prefix_tree import PrefixTree
from phasewise_analyzer.prefixes.reuse_sums import COUNTS, Steps

CALLS_AT_ONCE = 20_000
"""whose rows are made together: bounds the memory for the curves"""


def find(
    store: Store,
    scope: Scope = EVERYTHING,
    *,
    capacities: Sequence[int] = (),
    ttls_s: Sequence[float] = ttl.LADDER_S,
    by: By | None = None,
) -> Prefixes:
    """Return the reuse of all calls in scope, and what caches of many sizes would serve.

    `capacities` are in blocks, a ladder by default; `ttls_s` are lifetimes in seconds. A group is
    compared with its own earlier calls only.
    """
    steps, lifetimes = sorted({*(capacities or CAPACITIES)}), sorted({*ttls_s})
    found = [_NOTHING]
    for source in reuse_rows.sources(store, scope):
        calls = reuse_rows.calls(store, source)
        tree = prefix_tree.read(store, Scope(source=source))
        rows = of_source(store, calls, tree, capacities=steps, ttls_s=lifetimes)
        found.append(pl.concat([calls, rows.drop("ordinal", "block_tokens")], how="horizontal"))
    rows = pl.concat(found, how="diagonal_relaxed").sort("ordinal")
    rows = rows.join(reuse_rows.ordinals(store, scope), on="ordinal", how="semi")
    return reuse_sums.prefixes(
        rows.select(**COUNTS).row(0, named=True),
        Steps(_added(rows, "lru"), _added(rows, "ttl"), steps, lifetimes),
        () if by is None else tuple(_groups(store, rows, by)),
        capacities,
    )


def of_source(
    store: Store,
    calls: pl.DataFrame,
    tree: PrefixTree,
    *,
    capacities: Sequence[int] = CAPACITIES,
    ttls_s: Sequence[float] = ttl.LADDER_S,
) -> pl.DataFrame:
    """Make the rows of all calls of a data set; `calls` are aligned with the tree.

    They have the columns of `llm_calls`, and `agent`, the role.
    """
    prompts = call_reuse.prompts(calls, tree)
    shared = {
        name: hit_rates.shared(tree, prompts.whole, prompts.block_tokens, nodes)
        for name, nodes in _nodes(store, calls, tree)
    }
    stretches = lru.stretches(tree)
    started_before_ns = np.append(prompts.started_ns, -1)[stretches.before]
    cuts = range(0, max(1, calls.height), CALLS_AT_ONCE)
    places = np.searchsorted(stretches.call, [*cuts, calls.height])
    made = []
    for start, low, high in zip(cuts, places[:-1].tolist(), places[1:].tolist(), strict=True):
        end = start + CALLS_AT_ONCE
        made.append(
            call_reuse.rows(
                prompts.slice(start, end),
                {name: one.slice(start, end) for name, one in shared.items()},
                stretches.slice(low, high, start),
                started_before_ns[low:high],
                capacities=capacities,
                ttls_s=ttls_s,
            )
        )
    return pl.concat(made)


def _nodes(
    store: Store, calls: pl.DataFrame, tree: PrefixTree
) -> Iterator[tuple[Yardstick, np.ndarray[tuple[int], np.dtype[np.int32]]]]:
    """Give, by each yardstick, the node down to which each prompt had been sent before."""
    yield "any", shared_prefixes.any_earlier(tree)
    yield "previous", shared_prefixes.previous_call(tree, calls["agent_id"].to_list())
    for by in get_args(By):
        number, _ = groups.numbered(store, calls, by)
        yield by, shared_prefixes.any_earlier(tree, number)


def _added(rows: pl.DataFrame, curve: str) -> pl.DataFrame:
    """Sum what each step of a curve adds."""
    steps = rows.select(pl.col(curve).explode()).drop_nulls().unnest(curve)
    return steps.group_by("step").agg(pl.col("blocks", "tokens").sum())


def _groups(store: Store, rows: pl.DataFrame, by: By) -> Iterator[Group]:
    """Return the groups in the order of their first calls."""
    number, keys = groups.numbered(store, rows, by)
    sums = rows.group_by(pl.Series("group", number), maintain_order=True).agg(**COUNTS)
    for counts in sums.iter_rows(named=True):
        yield reuse_sums.group(keys[counts["group"]], counts, by)


_NOTHING = pl.DataFrame(
    schema={
        "ordinal": pl.Int64,
        "timed": pl.Boolean,
        "block_tokens": pl.Int64,
        **dict.fromkeys(reuse_sums.SUMMED, pl.Int64),
        **dict.fromkeys(("lru", "ttl"), pl.List(call_reuse.STEP)),
    }
)
