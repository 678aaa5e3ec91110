"""Read the results of a pack's run into a store as ordinary runs, one for each stage.

Blocks that were cut are left out. A run that was killed is stored as interrupted, so its verdict is
void; one whose budget was spent is finished, because what was left out of it is whole blocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from phasewise_store import runs
from phasewise_store.run_facts import Arm, MeasuredCall, Run, RunStatus
from phasewise_store.store import Store

from phasewise_replay.gpu import results_file
from phasewise_replay.records import arm_record

NOT_MEASURED = "no block of it was complete when the run ended"


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """One run of the results, and what is in the store now."""

    run_id: str
    status: RunStatus
    calls: int
    blocks: int
    cut_calls: int
    """measured in blocks that were not complete, and left out"""
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Found:
    """One run's records."""

    run: Run
    arms: dict[str, Arm]
    calls: dict[tuple[str, int, str], MeasuredCall]
    """by arm, block and call"""
    notes: list[str]


def import_results(store: Store, path: Path) -> list[ImportedRun]:
    """Write the runs of a results file; a run that is there already is replaced by itself."""
    found: dict[str, _Found] = {}
    machine: Mapping[str, object] = {}
    general: list[str] = []
    end: Mapping[str, Any] = {"status": "killed", "detail": None, "seconds": None}
    for record in results_file.read(path):
        fields = {name: value for name, value in record.items() if name != "kind"}
        match record["kind"]:
            case "machine":
                machine = fields["machine"]
            case "run":
                run = Run(**fields)
                found[run.run_id] = _Found(run, {}, {}, [])
            case "arm":
                arm = Arm(**fields)
                found[arm.run_id].arms[arm.arm] = arm
            case "calls":
                for row in fields["calls"]:
                    call = MeasuredCall(**row)
                    found[call.run_id].calls[call.arm, call.block, call.call_id] = call
            case "note":
                notes = found[fields["run_id"]].notes if "run_id" in fields else general
                notes.append(fields["text"])
            case "end":
                end = fields
    return [_write(store, one, machine, end, general) for one in found.values()]


def _write(
    store: Store,
    found: _Found,
    machine: Mapping[str, object],
    end: Mapping[str, Any],
    general: Sequence[str],
) -> ImportedRun:
    arms = [_with_machine(arm, machine) for arm in found.arms.values()]
    complete = {
        (arm.arm, block.block)
        for arm in arms
        if (record := arm_record.decode(arm)) is not None
        for block in record.blocks
    }
    calls = [call for call in found.calls.values() if (call.arm, call.block) in complete]
    status, detail = _ending(end)
    if status == "finished" and not calls:
        status, detail = "failed", detail or "no block was complete"
    last_ns = max((call.sent_ns + (call.duration_ns or 0) for call in calls), default=None)
    finished_ns = found.run.started_ns if last_ns is None else last_ns
    runs.add_run(store, replace(found.run, status=status, detail=detail, finished_ns=finished_ns))
    for arm in arms:
        runs.put_arm(store, arm)
    runs.add_measured(store, calls)
    return ImportedRun(
        found.run.run_id,
        status,
        len(calls),
        len(complete),
        len(found.calls) - len(calls),
        (*general, *found.notes),
    )


def _with_machine(arm: Arm, machine: Mapping[str, object]) -> Arm:
    """Add the machine to an arm's record; an arm that measured nothing is skipped."""
    record = arm_record.decode(arm)
    if arm.status == "ok" and (record is None or not record.blocks):
        arm = replace(arm, status="skipped", reason=NOT_MEASURED)
    if record is None:
        return arm
    return replace(arm, resolved=arm_record.encode(replace(record, machine=machine)))


def _ending(end: Mapping[str, Any]) -> tuple[RunStatus, str | None]:
    match end["status"]:
        case "finished":
            return "finished", None
        case "budget":
            return "finished", f"the budget was spent after {end['seconds']:.0f} s"
        case "failed":
            return "failed", end["detail"]
        case cause:
            return "interrupted", f"stopped by {cause}" if cause != "killed" else "killed"
