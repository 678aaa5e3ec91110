"""What prompts share with earlier ones, and what a cache of any size would hold of it."""

from dataclasses import dataclass
from typing import cast, get_args

from phasewise_analyzer import prefixes
from phasewise_analyzer.findings import Prefixes
from phasewise_analyzer.groups import By
from phasewise_reports.charts import Curve, curve
from phasewise_store.store import Store

from phasewise_web.pages.scope_of import Place, sources

CURVE_POINTS = (1, 2, 5)
"""of each power of ten"""
MOST_GROUPS = 200


@dataclass(frozen=True, slots=True)
class PrefixesPage:
    """Reuse in three definitions, the capacity curve, groups."""

    source: str | None
    """data set; blocks of different ones have different sizes, so one is looked at at a time"""
    by: By
    found: Prefixes | None
    """None where the store is empty"""
    block_tokens: int
    """what a block is here"""
    curve: Curve | None
    sources: tuple[str, ...]
    groups_left_out: int


def prefixes_page(store: Store, place: Place) -> PrefixesPage:
    """Make the page for the data set named in the address, or the first one."""
    there = sources(store)
    source = place.query.get("source") or (there[0] if there else None)
    asked = place.query.get("by")
    by: By = cast("By", asked) if asked in get_args(By) else "agent"
    if source is None:
        return PrefixesPage(None, by, None, 0, None, there, 0)
    scope = Place(place.path, {**place.query, "source": source}).scope
    capacities = [step * 10**power for power in range(7) for step in CURVE_POINTS]
    found = prefixes.find(store, scope, capacities=capacities, by=by)
    return PrefixesPage(
        source,
        by,
        _until_flat(found),
        _block_tokens(store, source),
        _curve(found),
        there,
        max(0, len(found.groups) - MOST_GROUPS),
    )


def _until_flat(found: Prefixes) -> Prefixes:
    """Leave out the capacities behind the first that never evicts."""
    best = max((row.hit_blocks for row in found.lru), default=0)
    rows = []
    for row in found.lru:
        if row.hit_blocks:
            rows.append(row)
        if row.hit_blocks == best:
            break
    return Prefixes(
        found.calls,
        found.input_tokens,
        found.output_tokens,
        found.reuse,
        tuple(rows),
        found.ttl,
        found.groups[:MOST_GROUPS],
    )


def _curve(found: Prefixes) -> Curve | None:
    rows = _until_flat(found).lru
    return curve(
        [(row.capacity_blocks, row.token_weighted) for row in rows],
        label="share of prompt tokens that an LRU cache of so many blocks would serve",
        x_label="blocks in the cache",
        unit="blocks",
    )


def _block_tokens(store: Store, source: str) -> int:
    found = store.frame(
        "SELECT max(c.block_tokens) FROM llm_calls c JOIN sources s USING (source_id) "
        "WHERE s.name = $source",
        {"source": source},
    ).item()
    return int(found) if found else 16
