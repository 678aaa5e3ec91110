"""Fidelity checks on the load: whether the client was the limit, and how much was in flight.

`fidelity` calls them.
"""

from collections.abc import Iterator, Mapping

import polars as pl

from phasewise_replay.records.arm_record import ArmRecord
from phasewise_replay.verdicts.verdict import Check

MOST_CLIENT_CPU = 0.85
"""of one core: Python runs one thread at a time, and above this the client is what is measured"""
LEAST_WALL_NS = 1_000_000_000
"""a shorter block says nothing of the client's load"""
MOST_PEAK_DIFFERENCE = 0.1
SLACK_NS = 1_000_000
"""an overlap below this is the clocks': a session begins right after another one ended"""


def client_bound(records: Mapping[str, ArmRecord]) -> Iterator[Check]:
    """Check the client's CPU time against the wall time of each block, where both are known."""
    shares = {
        f"{arm}, block {block.block}": block.client_cpu_ns / block.wall_ns
        for arm, record in records.items()
        for block in record.blocks
        if block.client_cpu_ns is not None
        and block.wall_ns is not None
        and block.wall_ns >= LEAST_WALL_NS
    }
    if not shares:
        return
    where, share = max(shares.items(), key=lambda entry: entry[1])
    yield Check(
        "client_bound",
        "CPU time of the client, share of one core",
        share,
        f"at most {MOST_CLIENT_CPU:.0%}",
        share <= MOST_CLIENT_CPU,
        f"highest in {where}",
    )


def equal_concurrency(calls: pl.DataFrame, *, planned: int) -> Iterator[Check]:
    """Check that the most sessions in flight at one time are the same in every block."""
    served = calls.filter(pl.col("duration_ns").is_not_null())
    if not served.height:
        return
    peaks = {
        f"{block['arm'][0]}, block {block['block'][0]}": _peak(block)
        for block in served.partition_by("arm", "block")
    }
    most, least = max(peaks.values()), min(peaks.values())
    allowed = max(1.0, MOST_PEAK_DIFFERENCE * most) if planned > 1 else 0.0
    detail = "; ".join(f"{where}: {peak}" for where, peak in peaks.items() if peak != most)
    yield Check(
        "concurrency",
        "Most sessions in flight, difference between blocks",
        float(most - least),
        f"at most {allowed:.0f}",
        most - least <= allowed and most <= planned,
        f"{planned} planned, {most} reached" + (f"; {detail}" if detail else ""),
    )


def overlap(calls: pl.DataFrame) -> bool:
    """Return whether any two calls of a block were in flight at once."""
    spans = calls.filter(pl.col("duration_ns").is_not_null()).select(
        "arm", "block", "sent_ns", end=pl.col("sent_ns") + pl.col("duration_ns") - SLACK_NS
    )
    before = pl.col("end").cum_max().shift(1).over("arm", "block", order_by="sent_ns")
    return bool(spans.select((pl.col("sent_ns") < before).any()).item())


def _peak(block: pl.DataFrame) -> int:
    """Return the most sessions of a block that overlap, from first request to last answer."""
    spans = block.group_by("session_id").agg(
        begin=pl.col("sent_ns").min(),
        end=(pl.col("sent_ns") + pl.col("duration_ns")).max() - SLACK_NS,
    )
    # a session that is shorter than the slack is in flight too
    spans = spans.with_columns(end=pl.max_horizontal("end", pl.col("begin") + 1))
    # an end at the same moment as a begin comes first: these two do not overlap
    edges = sorted(
        [(end, -1) for end in spans["end"].to_list()]
        + [(begin, 1) for begin in spans["begin"].to_list()]
    )
    active = peak = 0
    for _, change in edges:
        active += change
        peak = max(peak, active)
    return peak
