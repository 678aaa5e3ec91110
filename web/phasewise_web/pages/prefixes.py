"""What prompts share with earlier ones, and what a cache of any size would hold of it."""

from dataclasses import dataclass, replace
from typing import cast

from phasewise_analyzer import rollups
from phasewise_analyzer.engine.shapes import model_config
from phasewise_analyzer.findings import Prefixes
from phasewise_analyzer.groups import By
from phasewise_analyzer.prefixes import kept_reuse
from phasewise_analyzer.prefixes.call_reuse import CAPACITIES
from phasewise_analyzer.prefixes.ttl import FOREVER_S
from phasewise_reports.charts import Curve, curve
from phasewise_store.store import Store

from phasewise_web.background.answers import NOTHING, Progress
from phasewise_web.pages.address import Place, source_of, sources

MOST_GROUPS = 200
USUAL_KV_MODEL = "llama-3.1-70b"


@dataclass(frozen=True, slots=True)
class PrefixesPage:
    """Reuse in three definitions, the capacity curve, groups."""

    source: str | None
    """data set; blocks of different ones have different sizes, so one is looked at at a time"""
    by: By
    found: Prefixes | None
    """None where the store is empty; of the calls that were compared by now"""
    progress: Progress
    curve: Curve | None
    lifetimes: Curve | None
    """the same over the time for which a cache keeps what is not used"""
    kv_model: str
    """the shape on which blocks take so much memory"""
    kv_gb_a_block: float
    kv_models: tuple[str, ...]
    sources: tuple[str, ...]
    groups_left_out: int


def prefixes_page(store: Store, place: Place) -> PrefixesPage:
    """Make the page for the data set named in the address, or the newest one."""
    there = sources(store)
    source = source_of(store, place)
    by = cast("By", place.query.get("by", "agent"))
    if source is None:
        return PrefixesPage(None, by, None, NOTHING, None, None, "", 0.0, (), there, 0)
    scope = Place(place.path, {**place.query, "source": source}).scope
    found, groups = kept_reuse.find(
        store, scope, capacities=CAPACITIES, by=by, most_groups=MOST_GROUPS
    )
    calls = rollups.counts(store, scope).calls
    shape = model_config.known(place.query.get("kv_model", USUAL_KV_MODEL))
    return PrefixesPage(
        source,
        by,
        _until_flat(found),
        Progress(None, found.calls, calls, found.calls == calls),
        _curve(found),
        _lifetimes(found),
        shape.name,
        found.block_tokens * shape.kv_bytes / 1e9,
        model_config.names(),
        there,
        groups - len(found.groups),
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
    return replace(found, lru=tuple(rows))


def _lifetimes(found: Prefixes) -> Curve | None:
    rows = [row for row in found.ttl if row.ttl_s != FOREVER_S]
    return curve(
        [(int(row.ttl_s), row.token_weighted) for row in rows],
        label="share of prompt tokens served by a cache with this lifetime",
        x_label="lifetime, seconds without use",
        unit="s",
    )


def _curve(found: Prefixes) -> Curve | None:
    rows = _until_flat(found).lru
    return curve(
        [(row.capacity_blocks, row.token_weighted) for row in rows],
        label="share of prompt tokens served by an LRU cache with this number of blocks",
        x_label="blocks in the cache",
        unit="blocks",
    )
