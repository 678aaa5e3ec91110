"""Replay runs in the store: write and read the facts of `run_facts`."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, fields

import polars as pl

from phasewise_store import statements
from phasewise_store.errors import UsageError
from phasewise_store.run_facts import Arm, MeasuredCall, Run, RunStatus
from phasewise_store.store import Store


def add_run(store: Store, run: Run) -> None:
    """Record that a run begins."""
    _put(store, "runs", [run])


def finish_run(
    store: Store, run_id: str, status: RunStatus, finished_ns: int, detail: str | None = None
) -> None:
    """Record how a run ended."""
    with store.transaction() as connection:
        statements.run(
            connection,
            "UPDATE runs SET status = ?, finished_ns = ?, detail = ? WHERE run_id = ?",
            [status, finished_ns, detail, run_id],
        )


def choose_again(store: Store, run_id: str, selection: str) -> None:
    """Record other sessions for a run that has measured nothing yet."""
    with store.transaction() as connection:
        statements.run(
            connection, "UPDATE runs SET selection = ? WHERE run_id = ?", [selection, run_id]
        )


def continue_run(store: Store, run_id: str, complete: Collection[tuple[str, int]]) -> None:
    """Record that a run goes on, and drop the calls of blocks that are not complete.

    `complete` are arms and block numbers; their calls stay, so that each is counted once.
    """
    kept = pl.DataFrame(
        {"arm": [arm for arm, _ in complete], "block": [block for _, block in complete]},
        schema={"arm": pl.String, "block": pl.Int64},
    )
    dropped = sent(store, run_id).join(kept, on=["arm", "block"], how="anti")
    blocks = dropped.select("arm", "block").unique().rows()
    with store.transaction() as connection:
        for arm, block in blocks:
            statements.run(
                connection,
                "DELETE FROM measured_calls WHERE run_id = ? AND arm = ? AND block = ?",
                [run_id, arm, block],
            )
        statements.run(
            connection,
            "UPDATE runs SET status = 'running', finished_ns = NULL, detail = NULL "
            "WHERE run_id = ?",
            [run_id],
        )


def put_arm(store: Store, arm: Arm) -> None:
    """Record an arm, or what became of it."""
    _put(store, "arms", [arm])


def add_measured(store: Store, calls: Sequence[MeasuredCall]) -> None:
    """Record measured calls."""
    _put(store, "measured_calls", calls)


def run(store: Store, run_id: str) -> Run:
    """Return one run; `latest` is the newest. Raises UsageError when there is none."""
    known = runs(store)
    for candidate in known:
        if run_id in (candidate.run_id, "latest"):
            return candidate
    if not known:
        raise UsageError(
            "no replay runs in this database yet.  Start one with:  phasewise replay PLAN"
        )
    newest = ", ".join(f"`{one.run_id}`" for one in known[:3])
    raise UsageError(f"no replay run `{run_id}`; the newest runs are {newest}")


def runs(store: Store) -> list[Run]:
    """Return all runs, the newest first."""
    columns = ", ".join(field.name for field in fields(Run))
    found = store.frame(f"SELECT {columns} FROM runs ORDER BY started_ns DESC, run_id DESC")
    return [Run(**row) for row in found.iter_rows(named=True)]


def arms(store: Store, run_id: str) -> list[Arm]:
    """Return the arms of a run, the baseline first."""
    columns = ", ".join(field.name for field in fields(Arm))
    found = store.frame(
        f"SELECT {columns} FROM arms WHERE run_id = $run_id ORDER BY place", {"run_id": run_id}
    )
    return [Arm(**row) for row in found.iter_rows(named=True)]


def measured(store: Store, run_id: str) -> pl.DataFrame:
    """Return every measured call of a run: the columns of `measured_calls`."""
    return sent(store, run_id).filter(~pl.col("warm"))


def sent(store: Store, run_id: str) -> pl.DataFrame:
    """Return the measured calls, and those that filled the cache before them (`warm`)."""
    return store.frame(
        "SELECT m.* FROM measured_calls m JOIN arms a USING (run_id, arm) WHERE m.run_id = $run_id "
        "ORDER BY a.place, m.block, m.sent_ns, m.session_id, m.step",
        {"run_id": run_id},
    )


def forget(store: Store, run_ids: Collection[str]) -> None:
    """Remove runs with all that was measured in them."""
    with store.transaction() as connection:
        for table in ("measured_calls", "arms", "runs"):
            statements.run(
                connection,
                f"DELETE FROM {table} WHERE run_id IN (SELECT unnest(?))",
                [list(run_ids)],
            )


def _put(store: Store, table: str, facts: Sequence[Run | Arm | MeasuredCall]) -> None:
    if not facts:
        return
    frame = pl.DataFrame([asdict(fact) for fact in facts], infer_schema_length=None)
    with store.transaction() as connection:
        statements.insert_frame(connection, table, frame, "INSERT OR REPLACE")
