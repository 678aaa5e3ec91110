"""Gauges and counters that engines report over time, one row per point."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl
import xxhash

from phasewise_store.rows import to_json
from phasewise_store.statements import insert_frame
from phasewise_store.store import Store

_SCHEMA = {
    "metric": pl.String(),
    "time_ns": pl.Int64(),
    "series": pl.UInt64(),
    "value": pl.Float64(),
    "attributes": pl.String(),
}


@dataclass(frozen=True, slots=True)
class Gauge:
    """One point."""

    metric: str
    time_ns: int
    value: float
    attributes: Mapping[str, object]
    """the resource's among them"""


def save(store: Store, points: Iterable[Gauge]) -> int:
    """Insert points, in the caller's transaction if there is one; give how many are new."""
    rows = [
        (
            point.metric,
            point.time_ns,
            xxhash.xxh3_64_intdigest(written.encode()),
            point.value,
            written,
        )
        for point in points
        for written in [to_json(point.attributes)]
    ]
    frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    with store.transaction() as connection:
        return insert_frame(connection, "gauges", frame, "INSERT OR IGNORE")
