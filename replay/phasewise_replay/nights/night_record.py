"""Keep what the gates saw of each night, and remove the calls of old ones."""

from collections.abc import Iterator, Sequence

import polars as pl
from phasewise_store import nights, runs
from phasewise_store.nights import GatedMeasure, NightRow, NightStatus
from phasewise_store.store import Store

from phasewise_replay.nights.nightly import Night
from phasewise_replay.nights.nightly_file import Gate
from phasewise_replay.verdicts import measures
from phasewise_replay.verdicts.verdict import Metric


def record(store: Store, night: Night, gates: Sequence[Gate]) -> None:
    """Keep a night's status and, of a valid one, what every gate saw of every arm."""
    run = runs.run(store, night.verdict.run_id)
    valid = night.verdict.fidelity.passed
    status: NightStatus = "passed" if night.passed else "regressed" if valid else "void"
    rows = list(_measures(runs.measured(store, run.run_id), night, gates)) if valid else []
    nights.put(store, NightRow(run.run_id, run.name, run.started_ns, status), rows)


def forget_old(store: Store, name: str, keep: int) -> list[str]:
    """Remove the runs of a name but for the newest nights; return the ids of the removed ones.

    The last valid night stays, however old it is: the next one is compared with it.
    """
    known = nights.nights(store, name)
    last = next((night.run_id for night in known if night.status != "void"), None)
    old = {night.run_id for night in known[keep:]} - {last}
    removed = [run.run_id for run in runs.runs(store) if run.run_id in old]
    runs.forget(store, removed)
    return removed


def _measures(calls: pl.DataFrame, night: Night, gates: Sequence[Gate]) -> Iterator[GatedMeasure]:
    changes = {(metric.compared, metric.name): metric for metric in night.changes}
    worse = {(one.arm, one.metric.name) for one in night.regressions}
    served = calls.filter(pl.col("error").is_null())
    for arm in served["arm"].unique(maintain_order=True):
        sessions = measures.of_sessions(served.filter(pl.col("arm") == arm).with_columns(half=0))
        for gate in gates:
            key = (arm, gate.metric)
            change, low, high = _percent(changes.get(key))
            mean = sessions[gate.metric].drop_nulls().mean()
            yield GatedMeasure(
                run_id=night.verdict.run_id,
                arm=arm,
                measure=gate.metric,
                value=float(mean) if isinstance(mean, float) else None,
                allowed_percent=gate.worse_percent,
                change_percent=change,
                low_percent=low,
                high_percent=high,
                regressed=key in worse,
            )


def _percent(change: Metric | None) -> tuple[float | None, float | None, float | None]:
    """Return a change with its interval in percent of the last night."""
    if change is None or not change.baseline:
        return None, None, None
    scale = 100 / change.baseline
    low, high = change.ci95 or (None, None)
    return (
        change.difference * scale,
        None if low is None else low * scale,
        None if high is None else high * scale,
    )
