"""What each call's prompt shares with earlier ones of its data set, in rows that can be added up.

A row holds whole numbers only, so that sums do not depend on their order. `reuse` adds rows up to
hit rates and curves; `reuse_rows` keeps them in the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from phasewise_analyzer.groups import By
from phasewise_analyzer.prefixes import hit_rates
from phasewise_analyzer.prefixes.hit_rates import Tokens
from phasewise_analyzer.prefixes.lru import Stretches
from phasewise_analyzer.prefixes.prefix_tree import TEXT_BLOCK_TOKENS, PrefixTree

Ints = npt.NDArray[np.int64]
Nodes = npt.NDArray[np.int32]

Yardstick = Literal["any", "previous", "session", "agent", "model", "file"]
"""earlier calls that a prompt is compared with: any of the data set, the one before it of the same
agent instance, or those of its own session, role, model or file"""
YARDSTICKS: tuple[Yardstick, ...] = ("any", "previous", *get_args(By))

CAPACITIES = tuple(step * 10**power for power in range(9) for step in (1, 2, 5))
"""blocks; what an LRU cache of these sizes hits is kept, and what one without a bound hits"""

STEP = pl.Struct({"step": pl.Int64, "blocks": pl.Int64, "tokens": pl.Int64})


@dataclass(frozen=True, slots=True)
class Prompts:
    """The sizes of some calls' prompts, in order of arrival."""

    ordinal: Ints
    whole: Tokens
    size: Ints
    """whole blocks"""
    text: Ints
    """tokens of the text as estimated; what `whole` is scaled from"""
    block_tokens: Ints
    """0 where the prompt is text"""
    started_ns: Ints
    """-1 where no start is known"""

    def slice(self, start: int, end: int) -> "Prompts":
        """Return some of the calls."""
        some = slice(start, end)
        return Prompts(
            self.ordinal[some],
            self.whole.slice(start, end),
            self.size[some],
            self.text[some],
            self.block_tokens[some],
            self.started_ns[some],
        )


def prompts(calls: pl.DataFrame, tree: PrefixTree) -> Prompts:
    """Return the sizes; `calls` has the columns of `llm_calls` and is aligned with the tree."""
    block_tokens = calls["block_tokens"].fill_null(0).to_numpy().astype(np.int64)
    return Prompts(
        calls["ordinal"].to_numpy().astype(np.int64),
        hit_rates.prompts(tree, calls["input_tokens"].to_numpy().astype(np.int64), block_tokens),
        np.append(tree.blocks_end, 0)[tree.leaf].astype(np.int64),
        np.append(tree.tokens_end, 0)[tree.leaf].astype(np.int64),
        block_tokens,
        calls["started_ns"].fill_null(-1).to_numpy().astype(np.int64),
    )


def rows(
    some: Prompts,
    shared: dict[Yardstick, Tokens],
    stretches: Stretches,
    started_before_ns: Ints,
    *,
    capacities: Sequence[int] = CAPACITIES,
    ttls_s: Sequence[float],
) -> pl.DataFrame:
    """Make the rows of some calls.

    `stretches.call` counts from the first of these calls; `started_before_ns` is the start of the
    call that touched each stretch last, -1 where unknown. Capacities and lifetimes ascend.
    """
    columns: dict[str, pl.Series | Ints | npt.NDArray[np.float64]] = {
        "ordinal": some.ordinal,
        "block_tokens": some.block_tokens,
        "prompt_tokens": some.whole.tokens,
        "prompt_blocks": some.whole.blocks,
        "timed_tokens": np.where(some.started_ns >= 0, some.whole.tokens, 0),
    }
    for name, one in shared.items():
        columns[f"{name}_tokens"] = one.tokens
        columns[f"{name}_blocks"] = one.blocks.astype(np.int64)
        columns[f"{name}_share"] = hit_rates.shares(some.whole.tokens, one.tokens)
    columns["lru"] = _by_capacity(some, stretches, capacities)
    columns["ttl"] = _by_lifetime(some, stretches, started_before_ns, ttls_s)
    return pl.DataFrame(columns)


def _by_capacity(some: Prompts, stretches: Stretches, capacities: Sequence[int]) -> pl.Series:
    """Return what is hit from each capacity on that the one before it does not hit."""
    calls = len(some.ordinal)
    call, low = stretches.call, stretches.place
    length = stretches.to_block - stretches.from_block
    ends = stretches.to_block == some.size[call]
    blocks = np.zeros((len(capacities) + 1, calls), dtype=np.int64)
    last = np.zeros_like(blocks)
    for step, capacity in enumerate(capacities):
        blocks[step] = _sums(call, np.clip(capacity - low, 0, length), calls)
        last[step] = _sums(call, ends & (capacity >= low + length), calls)
    blocks[-1] = _sums(call, length, calls)
    last[-1] = _sums(call, ends, calls)
    return _sparse(blocks, _tokens(some, blocks, last))


def _by_lifetime(
    some: Prompts, stretches: Stretches, started_before_ns: Ints, ttls_s: Sequence[float]
) -> pl.Series:
    """Return what is hit from each lifetime on, in calls with a known start."""
    calls = len(some.ordinal)
    start = some.started_ns[stretches.call]
    timed = (start >= 0) & (started_before_ns >= 0)
    call = stretches.call[timed]
    length = (stretches.to_block - stretches.from_block)[timed]
    ends = stretches.to_block[timed] == some.size[call]
    gap_s = np.maximum(start - started_before_ns, 0)[timed] / 1e9
    step = np.searchsorted(np.array(ttls_s, dtype=np.float64), gap_s, side="left")
    steps = len(ttls_s) + 1
    blocks, last = (
        _sums(step * calls + call, one, steps * calls).reshape(steps, calls).cumsum(axis=0)
        for one in (length, ends)
    )
    return _sparse(blocks, _tokens(some, blocks, last))


def _tokens(some: Prompts, blocks: Ints, last: Ints) -> Ints:
    """Give the tokens of so many leading blocks; `last` is 1 where the prompt's last is among them.

    The last block of a hashed prompt may be partial: its tokens are those left of the input.
    """
    whole, full = some.whole.tokens, some.block_tokens
    partial = np.clip(whole - (some.size - 1) * full, 0, full)
    hashed = np.minimum(blocks * full - last * (full - partial), whole)
    text = blocks * TEXT_BLOCK_TOKENS * whole // np.maximum(some.text, 1)
    return np.where(full > 0, hashed, text)


def _sparse(blocks: Ints, tokens: Ints) -> pl.Series:
    """Return each call's list of steps in which something is added."""
    more_blocks, more_tokens = (np.diff(one, axis=0, prepend=0) for one in (blocks, tokens))
    call, step = np.nonzero((more_blocks > 0).T)
    added = pl.DataFrame(
        {
            "call": call,
            "step": step,
            "blocks": more_blocks[step, call],
            "tokens": more_tokens[step, call],
        }
    )
    listed = added.group_by("call").agg(steps=pl.struct("step", "blocks", "tokens"))
    calls = pl.DataFrame({"call": np.arange(blocks.shape[1])})
    found = calls.join(listed, on="call", how="left", maintain_order="left")["steps"]
    return found.cast(pl.List(STEP)).fill_null([])


def _sums(of: Ints, values: npt.NDArray[np.generic], length: int) -> Ints:
    found: Ints = np.bincount(of, weights=values.astype(np.float64), minlength=length).astype(
        np.int64
    )
    return found
