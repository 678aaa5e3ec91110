"""Put together what an arm's visits say of it: blocks of all shards, and where nodes differ."""

from collections import Counter
from dataclasses import replace

from phasewise_store.run_facts import Arm

from phasewise_replay.records import arm_record
from phasewise_replay.records.arm_record import ArmRecord
from phasewise_replay.verdicts import confounders

KV_TOLERANCE = 0.05
"""free memory differs a little between equal GPUs, and the KV cache with it"""


def blocks(arm: Arm) -> set[int]:
    """Return the numbers of the arm's complete blocks."""
    record = arm_record.decode(arm)
    return set() if record is None else {one.block for one in record.blocks if one.void is None}


def joined(before: Arm, after: Arm, *, shard: int) -> Arm:
    """Return the arm with the blocks of one more visit; what kept either from running counts."""
    old, new = arm_record.decode(before), arm_record.decode(after)
    if old is None or new is None:
        whole = old or new
    else:
        numbers = {block.block for block in new.blocks}
        others = [block for block in old.blocks if block.block not in numbers]
        every = sorted((*others, *new.blocks), key=lambda block: block.block)
        uneven = dict.fromkeys((*old.uneven, *_uneven(old, new, shard)))
        whole = replace(
            old,
            blocks=tuple(every),
            uneven=tuple(uneven),
            endpoints=dict(Counter(old.endpoints) + Counter(new.endpoints)),
            notes=tuple(dict.fromkeys((*old.notes, *new.notes))),
        )
    status, reason = before.status, before.reason
    if after.status != "ok":
        status, reason = after.status, after.reason
    return replace(
        after,
        status=status,
        reason=reason,
        resolved="{}" if whole is None else arm_record.encode(whole),
    )


def _uneven(one: ArmRecord, two: ArmRecord, shard: int) -> list[str]:
    """Name what differs between the nodes that an arm ran on, its GPUs among it."""
    found = confounders.changed(one, two)
    ours, theirs = one.blocks_of_kv, two.blocks_of_kv
    if ours and theirs and abs(ours - theirs) > KV_TOLERANCE * ours:
        found["KV blocks"] = (ours, theirs)
    if _gpus(one) != _gpus(two):
        found["GPUs"] = (_gpus(one), _gpus(two))
    return [
        f"shard {shard}: {name} is {after}, elsewhere {before}"
        for name, (before, after) in found.items()
    ]


def _gpus(record: ArmRecord) -> tuple[str, ...]:
    listed = record.machine.get("gpus")
    return tuple(str(one.get("name")) for one in listed) if isinstance(listed, list) else ()
