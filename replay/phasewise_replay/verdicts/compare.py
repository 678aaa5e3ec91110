"""Compare the arms of a run: paired differences per session with intervals, A/A control, fidelity.

For each session a measure is the mean over an arm's blocks; the difference is arm minus baseline. A
call that failed in any block is left out of all of them. The control compares the baseline with
itself in the same way, its outer blocks with its inner ones (`plan.control_half`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import orjson
import polars as pl
from phasewise_analyzer.engine.outcomes.slo import Slo
from phasewise_store import reads, runs
from phasewise_store.run_facts import Arm
from phasewise_store.store import Store

from phasewise_replay.engines import simulated_deployment
from phasewise_replay.gpu import step_table
from phasewise_replay.plans import arm_file, plan_file
from phasewise_replay.plans.arms import ManagedArm, SimulatedArm
from phasewise_replay.plans.plan import Plan, control_half
from phasewise_replay.plans.plan_keys import Keys
from phasewise_replay.records import arm_record, engine_settings
from phasewise_replay.records.arm_record import ArmRecord
from phasewise_replay.sessions import selection
from phasewise_replay.verdicts import (
    confounders,
    engine_time,
    factorial,
    family,
    fidelity,
    forecast_check,
    headline,
    load_checks,
    quality,
    service,
)
from phasewise_replay.verdicts.failures import failures
from phasewise_replay.verdicts.family import Pairs
from phasewise_replay.verdicts.service_facts import ArmService
from phasewise_replay.verdicts.time_facts import EngineTime
from phasewise_replay.verdicts.verdict import ArmSummary, Control, Effect, Metric, Quality, Verdict

CONTROL = "baseline again"
"""the name of the control's second half"""
NO_CONTROL = Control((), None)


def compare(store: Store, run_id: str, *, gpu_usd_hour: float | None = None) -> Verdict:
    """Return the verdict on a run, by its id or `latest`; raises UsageError when there is none.

    `gpu_usd_hour` is what one GPU costs; without it, the published price of the GPU is taken.
    """
    run = runs.run(store, run_id)
    arms = runs.arms(store, run.run_id)
    found = {arm.arm: record for arm in arms if (record := arm_record.decode(arm)) is not None}
    ran = [arm for arm in arms if arm.status == "ok" and arm.arm in found]
    records = {arm.arm: found[arm.arm] for arm in ran}
    calls = runs.sent(store, run.run_id)
    sent = calls.filter(pl.col("arm").is_in([arm.arm for arm in ran]))
    measured = sent.filter(~pl.col("warm"))
    changes = _changes(ran, records)
    plan = plan_file.parse(run.plan, "the stored plan")
    judged = fidelity.judge(
        run,
        records,
        measured,
        filling=sent.filter(pl.col("warm")),
        unplanned={
            arm.arm: confounders.unplanned(changes[arm.arm], _config(ran[0]), _config(arm))
            for arm in ran[1:]
        },
        concurrency=plan.concurrency,
        shard_blocks=plan.shard_blocks,
        send_lag_ms=plan.send_lag_ms,
        forced=plan.forced if plan.mode == "performance" else None,
    )
    good = _served_everywhere(measured, plan.shard_blocks)
    findings = _Findings()
    if ran and ran[0].place == 0:
        against_baseline = _answers if plan.mode == "quality" else _differences
        findings = against_baseline(good, ran, void=not judged.passed)
    agents = reads.agents_of_calls(store, measured["call_id"].unique().to_list())
    times = _engine_times(
        ran,
        records,
        sent,
        plan,
        agents=agents,
        gpu_usd_hour=gpu_usd_hour or plan.gpu_price_per_hour,
    )
    services = _services(ran, records, measured, agents, times, slo=plan.slo)
    blocks = max(1, measured.select("arm", "block").n_unique())
    summaries = tuple(_summary(arm, found.get(arm.arm), calls) for arm in arms)
    return Verdict(
        run_id=run.run_id,
        name=run.name,
        status=run.status,
        started_ns=run.started_ns,
        finished_ns=run.finished_ns,
        sessions=measured["session_id"].n_unique(),
        calls=measured.height * plan.shards // blocks,
        selections=selection.decode(run.selection),
        arms=summaries,
        metrics=findings.metrics,
        control=findings.control,
        effects=findings.effects,
        quality=findings.quality,
        service=() if plan.mode == "quality" else tuple(services),
        engine_time=tuple(times.values()),
        lone_steps=tuple(
            step
            for arm in ran
            for step in step_table.of_arm(
                arm.arm, records[arm.arm], _of(measured, arm), _config(arm)
            )
        ),
        forecasts=forecast_check.check(ran[0].arm, records, findings.metrics) if ran else (),
        fidelity=judged,
        failures=failures(calls),
        changed=changes,
        side_by_side={
            arm.arm: engine_settings.side_by_side(records[ran[0].arm], records[arm.arm])
            for arm in ran[1:]
            if engine_settings.differ_in_engine(records[ran[0].arm], records[arm.arm])
        },
        headline=headline.sentence(
            judged, findings.metrics, findings.control, summaries, findings.quality
        ),
    )


@dataclass(frozen=True, slots=True)
class _Findings:
    """What the arms differ in."""

    metrics: tuple[Metric, ...] = ()
    control: Control = NO_CONTROL
    effects: tuple[Effect, ...] = ()
    quality: tuple[Quality, ...] = ()


def _differences(good: pl.DataFrame, ran: Sequence[Arm], *, void: bool) -> _Findings:
    """Compare times and tokens with the baseline, and the baseline with itself."""
    baseline, *others = ran
    outer_inner = _of(good, baseline).with_columns(
        half=pl.col("block").map_elements(control_half, return_dtype=pl.Int64)
    )
    pairs: list[Pairs] = []
    for arm in others:
        both = good.filter(pl.col("arm").is_in([baseline.arm, arm.arm])).with_columns(
            half=(pl.col("arm") == arm.arm).cast(pl.Int64)
        )
        pairs += family.pairs(both, arm.arm)
    factors = factorial.design({arm.arm: _config(arm) for arm in ran})
    return _Findings(
        metrics=tuple(family.judged(pairs, void=void)),
        control=_control(family.judged(family.pairs(outer_inner, CONTROL), void=void)),
        effects=() if factors is None or void else tuple(factorial.effects(good, factors)),
    )


def _answers(good: pl.DataFrame, ran: Sequence[Arm], *, void: bool) -> _Findings:
    """Compare answers with the baseline's; no gate passes or fails in a void run."""
    found = quality.judge(good, [arm.arm for arm in ran])
    return _Findings(quality=tuple(replace(one, passed=None) for one in found) if void else found)


def _engine_times(
    ran: Sequence[Arm],
    records: Mapping[str, ArmRecord],
    sent: pl.DataFrame,
    plan: Plan,
    *,
    agents: Mapping[str, str],
    gpu_usd_hour: float | None,
) -> dict[str, EngineTime]:
    """Return the engine time of every arm that has one, by arm."""
    found: dict[str, EngineTime] = {}
    for arm in ran:
        own = _of(sent, arm)
        time = engine_time.of_arm(
            arm.arm,
            records[arm.arm],
            own,
            _config(arm),
            sequential=plan.concurrency == 1 and not load_checks.overlap(own),
            agents=agents,
            usd_hour=gpu_usd_hour,
        )
        if time is not None:
            found[arm.arm] = time
    return found


def _services(
    ran: Sequence[Arm],
    records: Mapping[str, ArmRecord],
    measured: pl.DataFrame,
    agents: Mapping[str, str],
    times: Mapping[str, EngineTime],
    *,
    slo: Slo | None,
) -> Iterator[ArmService]:
    for arm in ran:
        own = _of(measured, arm)
        found = service.of_arm(arm.arm, records[arm.arm], own, agents, times.get(arm.arm), slo=slo)
        if found is not None:
            yield found


def _of(calls: pl.DataFrame, arm: Arm) -> pl.DataFrame:
    return calls.filter(pl.col("arm") == arm.arm)


def _changes(
    ran: list[Arm], records: Mapping[str, ArmRecord]
) -> dict[str, dict[str, confounders.Difference]]:
    return {arm.arm: confounders.changed(records[ran[0].arm], records[arm.arm]) for arm in ran[1:]}


def _config(arm: Arm) -> dict[str, object]:
    """Return an arm as planned, with its presets expanded to flags and options."""
    made = arm_file.arm(Keys(orjson.loads(arm.config), "the stored plan", ""))
    config: dict[str, object] = {"engine": made.engine}
    if isinstance(made, ManagedArm):
        config.update(model=made.model, python=made.python)
        config.update(made.all_flags())
        config.update(made.env)
    elif isinstance(made, SimulatedArm):
        config.update(simulated_deployment.configured(made))
    else:
        config.update(asdict(made))
    return config


def _served_everywhere(calls: pl.DataFrame, shard_blocks: int) -> pl.DataFrame:
    """Keep the calls that every block of every arm served without an error, of its own shard."""
    shard = pl.col("block") // shard_blocks
    blocks = calls.select("arm", "block", shard=shard).unique().group_by("shard").len("blocks")
    served = calls.filter(pl.col("error").is_null())
    counts = served.group_by("call_id", shard=shard).len("served").join(blocks, on="shard")
    whole = counts.filter(pl.col("served") == pl.col("blocks"))
    return served.join(whole.select("call_id"), on="call_id", how="semi", maintain_order="left")


def _control(metrics: list[Metric]) -> Control:
    """Judge the control by the headline measure: one of many 95 % intervals may miss by chance."""
    head = next((metric for metric in metrics if metric.ci95 is not None), None)
    passed = None if head is None or head.ci95 is None else head.ci95[0] <= 0 <= head.ci95[1]
    return Control(tuple(metrics), passed)


def _summary(arm: Arm, record: ArmRecord | None, calls: pl.DataFrame) -> ArmSummary:
    own = calls.filter((pl.col("arm") == arm.arm) & ~pl.col("warm"))
    read, cached = int(own["input_tokens"].sum()), int(own["cached_tokens"].sum())
    return ArmSummary(
        name=arm.arm,
        place=arm.place,
        engine=arm.engine,
        model=None if record is None else record.model,
        basis=None if record is None else record.basis,
        status=arm.status,
        reason=arm.reason,
        config=orjson.loads(arm.config),
        calls=own.height,
        errors=int(own["error"].is_not_null().sum()),
        hit_rate=cached / read if read else None,
        step_times=None if record is None else record.step_times,
        endpoints={} if record is None else record.endpoints,
        notes=() if record is None else record.notes,
    )
