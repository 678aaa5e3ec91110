"""The run that `--resume` goes on with: what of it is complete, and the calls that it sends."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

import polars as pl
import yaml
from phasewise_store import runs
from phasewise_store.run_facts import Arm
from phasewise_store.store import Store

from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.plan_yaml import as_yaml
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.records import arm_record
from phasewise_replay.sessions import selection, sessions
from phasewise_replay.sessions.recorded import Recorded
from phasewise_replay.sessions.warm_start import start_again


@dataclass(frozen=True, slots=True)
class Continuation:
    """A run that was cut, or of which an arm failed."""

    run_id: str
    arms: Mapping[str, Arm]
    """as stored, by name"""
    shards: int
    selection: str | None
    """how its sessions were chosen, as stored"""

    def go_on(self, store: Store) -> None:
        """Record that the run goes on; the calls of blocks that were cut are dropped."""
        runs.continue_run(store, self.run_id, self.complete().keys())

    def complete(self) -> dict[tuple[str, int], int]:
        """Return arm and number of the blocks that are complete, and how many calls each left out.

        Those do not fit the model's context.
        """
        return {
            (arm.arm, block.block): block.skipped_calls
            for arm in self.arms.values()
            if (record := arm_record.decode(arm)) is not None
            for block in record.blocks
            if block.void is None
        }

    def keeping(self, blocks: Set[tuple[str, int]]) -> "Continuation":
        """Return the run with these complete blocks only; the others are run again."""
        kept = {name: _with(arm, blocks) for name, arm in self.arms.items()}
        return replace(self, arms=kept)

    def recorded(self, store: Store, plan: Plan) -> Recorded:
        """Return the calls that its complete blocks sent; later ones send the same.

        Also when the sessions have grown since.
        """
        sent = runs.sent(store, self.run_id)
        if sent.height:
            return _sent_before(store, plan, self.selection, sent)
        recorded = sessions.load_for(store, plan)
        runs.choose_again(store, self.run_id, selection.encode(recorded.selections))
        return recorded


def last(store: Store, plan: Plan, *, any_shards: bool = False) -> Continuation | None:
    """Return the newest run of the same plan; None where there is none, or it is whole.

    With `any_shards`, the plan may have been run in another number of shards.
    """
    for one in runs.runs(store):
        shards = _shards(one.plan) if any_shards else plan.shards
        if one.plan != as_yaml(replace(plan, shards=shards)):
            continue
        arms = {arm.arm: arm for arm in runs.arms(store, one.run_id)}
        failed = any(arm.status == "failed" for arm in arms.values())
        if one.status == "finished" and not failed:
            return None
        return Continuation(one.run_id, arms, shards, one.selection)
    return None


def _with(arm: Arm, blocks: Set[tuple[str, int]]) -> Arm:
    record = arm_record.decode(arm)
    if record is None:
        return arm
    own = tuple(block for block in record.blocks if (arm.arm, block.block) in blocks)
    return replace(arm, resolved=arm_record.encode(replace(record, blocks=own)))


def _shards(plan: str) -> int:
    found = yaml.safe_load(plan)
    return int(found.get("shards", 1)) if isinstance(found, dict) else 1


def _sent_before(store: Store, plan: Plan, chosen: str | None, sent: pl.DataFrame) -> Recorded:
    """Return the calls that a run has sent, its sessions in the same order."""
    there = sent["session_id"].unique(maintain_order=True).to_list()
    before = [one for part in selection.decode(chosen) for one in part.session_ids]
    ids = tuple(one for one in before or there if one in set(there))
    # only what was sent is scrubbed, or stand-ins would change with sessions that have grown
    loaded = sessions.load(store, SessionChoice(limit=None, ids=ids))
    warm = set(sent.filter(pl.col("warm"))["call_id"])
    return sessions.as_sent(store, plan, _only(loaded, set(sent["call_id"]), warm))


def _only(recorded: Recorded, call_ids: Set[str], warm: Set[str]) -> Recorded:
    """Keep these calls, of which the warm ones fill the cache."""
    kept = (
        start_again(
            replace(one, steps=tuple(step for step in one.steps if step.call_id in call_ids)), warm
        )
        for one in recorded.sessions
    )
    return replace(recorded, sessions=tuple(kept))
