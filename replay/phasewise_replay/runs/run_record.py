"""A run in the store: how it begins, how it ends, and what it writes in between."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from phasewise_store import runs
from phasewise_store.causes import was_interrupted
from phasewise_store.errors import StoreError
from phasewise_store.run_facts import Arm, MeasuredCall, Run, RunStatus
from phasewise_store.store import Store

from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.plan_yaml import as_yaml
from phasewise_replay.sessions import selection
from phasewise_replay.sessions.recorded import Recorded


def begin(store: Store, plan: Plan, recorded: Recorded) -> str:
    """Record that a run of the plan begins with these sessions, and return its id."""
    started_ns = time.time_ns()
    run_id = new_id(store, plan.name, started_ns)
    chosen = selection.encode(recorded.selections)
    runs.add_run(store, Run(run_id, plan.name, as_yaml(plan), started_ns, selection=chosen))
    return run_id


@contextmanager
def ending(store: Store, run_id: str) -> Iterator[Callable[[bool], None]]:
    """Record how the run ends; the block says whether any arm could run."""
    outcome = [False]

    def ran(any_arm: bool) -> None:
        outcome[0] = any_arm

    try:
        yield ran
    except BaseException as error:
        if was_interrupted(error):
            runs.finish_run(store, run_id, "interrupted", time.time_ns(), "stopped by the user")
        else:
            runs.finish_run(store, run_id, "failed", time.time_ns(), f"{error}")
        raise
    detail = None if outcome[0] else "no arm can run on this machine"
    status: RunStatus = "finished" if outcome[0] else "failed"
    runs.finish_run(store, run_id, status, time.time_ns(), detail)


class StoreRecording:
    """Writes what a run measures to the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put_arm(self, arm: Arm) -> None:
        """Write an arm, or what became of it."""
        runs.put_arm(self._store, arm)

    def add_calls(self, calls: Sequence[MeasuredCall]) -> None:
        """Write measured calls."""
        runs.add_measured(self._store, calls)


def new_id(store: Store, name: str, started_ns: int) -> str:
    """Name a run by its plan and its start time; no other run has the name."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "run"
    when = datetime.fromtimestamp(started_ns / 1e9, UTC).strftime("%Y%m%d-%H%M%S")
    taken = {one.run_id for one in runs.runs(store)}
    tries = (f"{plain}-{when}" + (f"-{again}" if again else "") for again in range(10_000))
    found = next((one for one in tries if one not in taken), None)
    if found is None:
        raise StoreError(f"10,000 runs named `{plain}` started in one second")
    return found
