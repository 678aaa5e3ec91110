"""The measures that are compared, each per session over the calls of one block.

prefill_s and decode_s are the engine's own (scheduled to first token, first to last token); where
an engine does not report them, only the client's time to first token is compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from phasewise_replay.verdicts.statistics import Interval, share_interval

_NS = 1e9


@dataclass(frozen=True, slots=True)
class Measure:
    """One number per session and block."""

    name: str
    title: str
    unit: str
    value: pl.Expr
    """over the measured calls of a session in a block"""
    better: str = "lower"
    """the better direction: lower or higher"""


def _sum_s(column: str) -> pl.Expr:
    """Sum a time; unknown where that of any call is unknown."""
    whole = pl.col(column).is_not_null().all()
    return pl.when(whole).then(pl.col(column).sum() / _NS)


MEASURES: Sequence[Measure] = (
    Measure("prefill_s", "Prefill time per session", "s", _sum_s("prefill_ns")),
    Measure("ttft_s", "Time to first token, mean of calls", "s", pl.col("ttft_ns").mean() / _NS),
    Measure("decode_s", "Decode time per session", "s", _sum_s("decode_ns")),
    Measure(
        "tpot_ms",
        "Time per output token after the first",
        "ms",
        pl.when((pl.col("output_tokens") > 1).any() & pl.col("decode_ns").is_not_null().all()).then(
            pl.col("decode_ns").sum() / (pl.col("output_tokens") - 1).sum() / 1e6
        ),
    ),
    Measure("queue_ms", "Queue time per session", "ms", _sum_s("queue_ns") * 1e3),
    Measure("duration_s", "Model time per session", "s", _sum_s("duration_ns")),
    Measure(
        "completion_s",
        "Completion time per session",
        "s",
        ((pl.col("sent_ns") + pl.col("duration_ns")).max() - pl.col("sent_ns").min()) / _NS,
    ),
    Measure(
        "uncached_tokens",
        "Prompt tokens computed per session",
        "tokens",
        (pl.col("input_tokens") - pl.col("cached_tokens")).sum().cast(pl.Float64),
    ),
    Measure(
        "cached_share",
        "Prompt tokens served from the cache",
        "share",
        pl.col("cached_tokens").sum() / pl.col("input_tokens").sum(),
        better="higher",
    ),
)
"""the first one that both arms have goes into the headline"""


def interval(
    measure: Measure,
    of: Callable[[Sequence[float], Sequence[float]], Interval | None],
    before: Sequence[float],
    after: Sequence[float],
) -> Interval | None:
    """Return the interval of a measure's difference: `of`, inside what its unit can be."""
    if measure.unit == "share":
        return share_interval(of, before, after)
    return of(before, after)


def of_sessions(calls: pl.DataFrame) -> pl.DataFrame:
    """Return every measure, one row per session and half: the mean over the blocks of the half.

    `calls` are measured calls with a column `half`.
    """
    values = [measure.value.alias(measure.name) for measure in MEASURES]
    blocks = calls.group_by("session_id", "half", "block").agg(values)
    names = [measure.name for measure in MEASURES]
    return blocks.group_by("session_id", "half").agg(pl.col(names).mean()).sort("session_id")
