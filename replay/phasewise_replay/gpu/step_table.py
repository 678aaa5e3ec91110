"""The designed steps of a run as a table: what each took, and what the roofline said before.

`compare` makes it from the calls of the run; a run of recorded sessions has none.
"""

from collections.abc import Iterator, Mapping
from statistics import median

import polars as pl
from phasewise_analyzer.engine.deployments.deployment import Deployment
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk

from phasewise_replay.gpu import lone_steps
from phasewise_replay.gpu.lone_steps import Designed
from phasewise_replay.records.arm_record import ArmRecord
from phasewise_replay.verdicts import prior
from phasewise_replay.verdicts.time_facts import LoneStep

KINDS = ("prefill", "decode", "mixed")


def of_arm(
    arm: str, record: ArmRecord, calls: pl.DataFrame, config: Mapping[str, object]
) -> Iterator[LoneStep]:
    """Yield a row for each size, by kind and size; `calls` are the arm's measured ones."""
    found: dict[Designed, list[Mapping[str, int]]] = {}
    for row in calls.filter(pl.col("error").is_null()).iter_rows(named=True):
        step = lone_steps.designed(row["session_id"], row["step"])
        if step is not None and _seconds(step, row) is not None:
            found.setdefault(step, []).append(row)
    engine = prior.of_arm(record, config) if found else None
    for step, rows in sorted(found.items(), key=lambda row: _order(row[0])):
        seconds = [taken for row in rows if (taken := _seconds(step, row)) is not None]
        outputs = round(median(row["output_tokens"] for row in rows))
        yield LoneStep(
            arm=arm,
            kind=step.kind,
            new_tokens=step.new,
            cached_tokens=step.cached if step.kind == "prefill" else 0,
            batch=step.batch,
            context_tokens=0 if step.kind == "prefill" else step.cached,
            as_designed=all(_as_designed(step, row, record) for row in rows),
            samples=len(seconds),
            basis=record.basis,
            measured_s=median(seconds),
            low_s=min(seconds),
            high_s=max(seconds),
            prior_s=None if engine is None else _prior_s(step, engine, outputs),
        )


def _order(step: Designed) -> tuple[int, int, int, int]:
    return KINDS.index(step.kind), step.cached, step.new, step.batch


def _seconds(step: Designed, row: Mapping[str, int]) -> float | None:
    """Return the time of a whole prefill, or the mean of one decode step."""
    if step.kind != "decode":
        taken = row["prefill_ns"] or row["ttft_ns"]
        return None if taken is None else taken / 1e9
    if row["decode_ns"] is None or row["output_tokens"] < 2:
        return None
    return row["decode_ns"] / (row["output_tokens"] - 1) / 1e9


def _as_designed(step: Designed, row: Mapping[str, int], record: ArmRecord) -> bool:
    """Return whether all but the last blocks of what was to be cached were."""
    expected = 0 if step.kind == "mixed" else step.cached
    return (row["cached_tokens"] or 0) > expected - 2 * (record.block_tokens or 1)


def _prior_s(step: Designed, engine: Deployment, outputs: int) -> float:
    """Return what the roofline says of the same step, or of all steps of a chunked prefill."""
    if step.kind == "decode":
        first = step.cached + 1
        batch = Batch(decodes=step.batch, context=step.batch * first, longest=first)
        return float(engine.times.decode_run_s(batch, max(1, outputs - 1)).mean())
    cached, decodes, context = step.cached, 0, 0
    if step.kind == "mixed":
        cached, decodes, context = 0, step.batch, step.cached + 1
    size = (engine.config.step_tokens or step.new) - decodes
    return sum(
        engine.times.step_s(
            Batch(
                (Chunk(min(size, step.new - done), cached + done),),
                decodes=decodes,
                context=decodes * context,
                longest=context,
            )
        )
        for done in range(0, step.new, size)
    )
