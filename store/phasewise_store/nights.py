"""Results of nightly runs: written when a night is judged, kept when its calls are removed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

import polars as pl

from phasewise_store import statements
from phasewise_store.store import Store

NightStatus = Literal["passed", "regressed", "void"]


@dataclass(frozen=True, slots=True)
class NightRow:
    """One night."""

    run_id: str
    name: str
    """of the plan; nights of one name are compared with each other"""
    started_ns: int
    status: NightStatus


@dataclass(frozen=True, slots=True)
class GatedMeasure:
    """What one gate saw of one arm in a night."""

    run_id: str
    arm: str
    measure: str
    value: float | None
    """mean over the night's sessions; None where the engine does not report it"""
    allowed_percent: float
    change_percent: float | None
    """since the last valid night, over what both served; None on the first"""
    low_percent: float | None
    """95 % interval of the change"""
    high_percent: float | None
    regressed: bool


def put(store: Store, night: NightRow, measures: Sequence[GatedMeasure]) -> None:
    """Record a night, or what became of it when it was judged again."""
    with store.transaction() as connection:
        statements.run(connection, "DELETE FROM gated_measures WHERE run_id = ?", [night.run_id])
        for table, rows in (("nights", [night]), ("gated_measures", measures)):
            if rows:
                frame = pl.DataFrame([asdict(row) for row in rows], infer_schema_length=None)
                statements.insert_frame(connection, table, frame, "INSERT OR REPLACE")


def nights(store: Store, name: str | None = None) -> list[NightRow]:
    """Return the nights of one name, or all of them; the newest first."""
    columns = ", ".join(field.name for field in fields(NightRow))
    found = store.frame(
        f"SELECT {columns} FROM nights WHERE $name IS NULL OR name = $name "
        "ORDER BY started_ns DESC, run_id DESC",
        {"name": name},
    )
    return [NightRow(**row) for row in found.iter_rows(named=True)]


def measures(store: Store, name: str) -> list[GatedMeasure]:
    """Return what the gates of a name's nights saw, the oldest night first."""
    columns = ", ".join(f"m.{field.name}" for field in fields(GatedMeasure))
    found = store.frame(
        f"SELECT {columns} FROM gated_measures m JOIN nights n USING (run_id) "
        "WHERE n.name = $name ORDER BY n.started_ns, m.run_id, m.arm, m.measure",
        {"name": name},
    )
    return [GatedMeasure(**row) for row in found.iter_rows(named=True)]
