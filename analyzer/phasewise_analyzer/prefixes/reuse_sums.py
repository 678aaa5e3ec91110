"""Sums over the reuse of calls, and the hit rates and curves that they give.

`reuse` sums rows that it makes, `kept_reuse` has the database sum those that are kept: both give
the same columns, so the same numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

import polars as pl

from phasewise_analyzer.findings import Group, Prefixes, Reuse
from phasewise_analyzer.prefixes import hit_rates, prefix_tree
from phasewise_analyzer.prefixes.call_reuse import CAPACITIES, YARDSTICKS, Yardstick
from phasewise_analyzer.prefixes.hit_rates import HitRates, Shared, Sizes
from phasewise_analyzer.prefixes.lru import LruRow
from phasewise_analyzer.prefixes.ttl import FOREVER_S, LADDER_S, TtlRow

Counts = Mapping[str, int | float]
"""the columns of `COUNTS`, summed"""

SUMMED = (
    *("input_tokens", "output_tokens", "prompt_tokens", "prompt_blocks", "timed_tokens"),
    *(f"{one}_{unit}" for one in YARDSTICKS for unit in ("tokens", "blocks", "share")),
)
"""columns of rows of calls"""
COUNTS: dict[str, pl.Expr] = {
    "calls": pl.len(),
    "prompt_calls": (pl.col("prompt_tokens") > 0).sum(),
    "timed_calls": pl.col("timed").sum(),
    "block_tokens": pl.col("block_tokens").max().fill_null(0),
    **{name: pl.col(name).sum() for name in SUMMED},
}
"""what is summed over rows of calls; of the tokens per block, the most"""

MOST_ROWS = 8
"""capacities that are shown where none are asked for: the last up to the first that hits all"""


@dataclass(frozen=True, slots=True)
class Steps:
    """What each step of a curve adds: columns step, blocks, tokens."""

    lru: pl.DataFrame
    ttl: pl.DataFrame
    capacities: Sequence[int] = CAPACITIES
    """of the LRU steps; one more stands for a cache without a bound"""
    ttls_s: Sequence[float] = LADDER_S
    """of the lifetime steps; one more stands for a cache that forgets nothing"""


def prefixes(
    counts: Counts, steps: Steps, groups: tuple[Group, ...], shown: Sequence[int] = ()
) -> Prefixes:
    """Return what sums over some calls say; `shown` are the capacities to give, else a ladder."""
    return Prefixes(
        calls=int(counts["calls"]),
        input_tokens=int(counts["input_tokens"]),
        output_tokens=int(counts["output_tokens"]),
        reuse=Reuse(_rates(counts, "any"), _rates(counts, "previous")),
        block_tokens=int(counts["block_tokens"]) or prefix_tree.TEXT_BLOCK_TOKENS,
        lru=_capacities(counts, steps, shown),
        ttl=_lifetimes(counts, steps) if counts["timed_calls"] else (),
        groups=groups,
    )


def group(key: str, counts: Counts, by: Yardstick) -> Group:
    """Return what sums over the calls of one group say."""
    reuse = Reuse(_rates(counts, by), _rates(counts, "previous"))
    return Group(key, int(counts["calls"]), int(counts["input_tokens"]), reuse)


def _rates(counts: Counts, by: Yardstick) -> HitRates:
    whole = Sizes(
        int(counts["prompt_calls"]), int(counts["prompt_tokens"]), float(counts["prompt_blocks"])
    )
    tokens, blocks, share = (int(counts[f"{by}_{one}"]) for one in ("tokens", "blocks", "share"))
    return hit_rates.rates(whole, Shared(tokens, blocks, share))


def _capacities(counts: Counts, steps: Steps, shown: Sequence[int]) -> tuple[LruRow, ...]:
    capacities = steps.capacities
    hits = _reached(steps.lru, len(capacities) + 1)
    total_blocks, total_tokens = ceil(counts["prompt_blocks"]), int(counts["prompt_tokens"])
    rows = {
        capacity: LruRow(
            capacity,
            blocks,
            total_blocks,
            blocks / total_blocks if total_blocks else 0.0,
            tokens / total_tokens if total_tokens else 0.0,
        )
        for capacity, (blocks, tokens) in zip(capacities, hits, strict=False)
    }
    if shown:
        return tuple(rows[capacity] for capacity in shown)
    enough = next((n for n, one in enumerate(hits) if one == hits[-1]), len(hits)) + 1
    return tuple(rows.values())[max(0, enough - MOST_ROWS) : enough]


def _lifetimes(counts: Counts, steps: Steps) -> tuple[TtlRow, ...]:
    lifetimes = (*steps.ttls_s, FOREVER_S)
    total = int(counts["timed_tokens"])
    return tuple(
        TtlRow(ttl_s, blocks, tokens / total if total else 0.0)
        for ttl_s, (blocks, tokens) in zip(
            lifetimes, _reached(steps.ttl, len(lifetimes)), strict=True
        )
    )


def _reached(steps: pl.DataFrame, length: int) -> list[tuple[int, int]]:
    """Return blocks and tokens up to each step."""
    added = {step: (blocks, tokens) for step, blocks, tokens in steps.iter_rows()}
    each = [added.get(step, (0, 0)) for step in range(length)]
    return [
        (blocks, tokens)
        for blocks, tokens in zip(
            accumulate(int(blocks) for blocks, _ in each),
            accumulate(int(tokens) for _, tokens in each),
            strict=True,
        )
    ]
