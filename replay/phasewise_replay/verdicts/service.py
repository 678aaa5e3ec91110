"""How well each arm served: throughput, goodput, hit rates, and the time of sessions and agents.

Read from the measured calls of all blocks. `compare` calls it.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

import polars as pl
from phasewise_analyzer.engine.outcomes.slo import Slo
from phasewise_analyzer.engine.schedulers.drafts import Acceptance, total

from phasewise_replay.records.arm_record import ArmRecord, BlockRecord
from phasewise_replay.verdicts import critical_path
from phasewise_replay.verdicts.critical_path import PathCall, Piece
from phasewise_replay.verdicts.service_facts import (
    AgentService,
    ArmService,
    CriticalPath,
    Goodput,
    HitRates,
    SessionService,
)
from phasewise_replay.verdicts.time_facts import EngineTime

NO_POWER = "no NVIDIA GPU that reports its power"
SIMULATED = "simulated"
SEVERAL = "only one GPU's power is measured, and the engine used several"


def of_arm(
    arm: str,
    record: ArmRecord,
    calls: pl.DataFrame,
    agents: Mapping[str, str],
    time: EngineTime | None,
    *,
    slo: Slo | None,
) -> ArmService | None:
    """Return how an arm served; `calls` are its measured ones, `agents` their agents' names.

    None where no call was answered.
    """
    served = calls.filter(pl.col("error").is_null() & pl.col("duration_ns").is_not_null())
    if not served.height:
        return None
    served = served.with_columns(
        ended_ns=pl.col("sent_ns") + pl.col("duration_ns"),
        agent=pl.col("call_id").replace_strict(agents, default="-", return_dtype=pl.String),
    )
    blocks = served.partition_by("block")
    measured_s = sum(map(_measured_ns, blocks)) / 1e9
    paths = _paths(blocks)
    outputs = served["output_tokens"]
    sessions = _sessions(served, paths, time)
    session_blocks = served.select("session_id", "block").n_unique()
    energy, no_energy = _energy(record, time)
    load = [block for block in record.blocks if block.void is None]
    drafts = total(map(_acceptance, load))
    return ArmService(
        arm=arm,
        basis=record.basis,
        measured_s=measured_s,
        sessions_hour=session_blocks / measured_s * 3600,
        calls_s=served.height / measured_s,
        output_tokens_s=None if outputs.has_nulls() else int(outputs.sum()) / measured_s,
        goodput=None if slo is None else _goodput(calls, slo, measured_s),
        hit_rates=_hit_rates(served),
        preemptions=_preemptions(load, served),
        kv_use_mean=_mean(block.kv_use_mean for block in load),
        kv_use_peak=max(
            (one.kv_use_peak for one in load if one.kv_use_peak is not None), default=None
        ),
        acceptance_length=drafts.length,
        accepted_share=drafts.rate,
        energy_j=energy,
        no_energy=no_energy,
        sessions=tuple(sorted(sessions, key=lambda one: -one.completion_s)),
        agents=tuple(_agents(served, paths, time)),
        calls=served.height / session_blocks,
        completion_s=fmean(one.completion_s for one in sessions),
        path=None
        if paths is None
        else critical_path.added(
            [piece.path for path in paths.values() for piece in path], divisor=session_blocks
        ),
        usd=None if time is None else time.usd,
    )


_Paths = Mapping[tuple[int, str], Sequence[Piece]]
"""critical paths by block and session"""


def _measured_ns(block: pl.DataFrame) -> int:
    """Return the time in which at least one session is between first call and last answer."""
    spans = block.group_by("session_id").agg(pl.col("sent_ns").min(), pl.col("ended_ns").max())
    total, done = 0, 0
    for begin, end in spans.sort("sent_ns").select("sent_ns", "ended_ns").iter_rows():
        total += max(0, end - max(begin, done))
        done = max(done, end)
    return total


def _goodput(calls: pl.DataFrame, slo: Slo, measured_s: float) -> Goodput | None:
    """Hold every call to the limits; None where one that was answered lacks a time."""
    failed = pl.col("error").is_not_null()
    after_first = pl.col("output_tokens") - 1
    # the engine's own decode time, else the client's time since the first token
    decode_ns = pl.coalesce("decode_ns", pl.col("duration_ns") - pl.col("ttft_ns"))
    tests = [
        (slo.ttft, pl.col("ttft_ns") / 1e9),
        (slo.tpot, pl.when(after_first > 0).then(decode_ns / after_first / 1e9).otherwise(0.0)),
        (slo.latency, pl.col("duration_ns") / 1e9),
    ]
    within = [seconds <= limit for limit, seconds in tests if limit is not None]
    judged = calls.with_columns(
        met=pl.when(failed).then(pl.lit(value=False)).otherwise(pl.all_horizontal(within))
    )
    if judged["met"].has_nulls():
        return None
    met = int(judged["met"].sum())
    whole = judged.group_by("session_id", "block").agg(pl.col("met").all())["met"]
    return Goodput(
        in_words(slo), met / judged.height, met / measured_s, int(whole.sum()) / len(whole)
    )


def in_words(slo: Slo) -> str:
    """Write the limits."""
    parts = [
        (slo.ttft, "time to first token {:g} s", 1.0),
        (slo.tpot, "time per output token {:g} ms", 1e3),
        (slo.latency, "whole call {:g} s", 1.0),
    ]
    return ", ".join(text.format(limit * unit) for limit, text, unit in parts if limit is not None)


def _hit_rates(served: pl.DataFrame) -> HitRates:
    known = served.filter(pl.col("cached_tokens").is_not_null() & (pl.col("input_tokens") > 0))
    told = known.filter(pl.col("reachable_tokens").is_not_null())
    cached, reachable = _sum(told, "cached_tokens"), _sum(told, "reachable_tokens")
    by_calls = known.select((pl.col("cached_tokens") / pl.col("input_tokens")).mean()).item()
    return HitRates(
        by_tokens=_share(_sum(known, "cached_tokens"), _sum(known, "input_tokens")),
        by_calls=by_calls,
        reachable=_share(reachable, _sum(told, "input_tokens")),
        of_reachable=_share(cached, reachable),
    )


def _sum(calls: pl.DataFrame, column: str) -> int:
    return int(calls[column].sum())


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _preemptions(blocks: Sequence[BlockRecord], served: pl.DataFrame) -> float | None:
    """Return them per block: the engine's counter, or those of the simulated calls."""
    counted = [block.preemptions for block in blocks if block.preemptions is not None]
    if counted:
        return fmean(counted)
    own = served["preemptions"]
    return None if own.has_nulls() else int(own.sum()) / served["block"].n_unique()


def _acceptance(block: BlockRecord) -> Acceptance:
    """Return how drafts did in a block; where none were counted, there were none."""
    return Acceptance(
        drafts=block.drafts or 0,
        drafted=block.drafted_tokens or 0,
        accepted=block.accepted_tokens or 0,
    )


def _mean(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _energy(record: ArmRecord, time: EngineTime | None) -> tuple[float | None, str]:
    if record.basis == "simulated":
        return None, SIMULATED
    if time is None or time.energy_j is None:
        return None, NO_POWER
    return (time.energy_j, "") if time.gpus == 1 else (None, SEVERAL)


def _paths(blocks: Sequence[pl.DataFrame]) -> _Paths | None:
    """Return every session's critical path; None where runs do not know what calls waited for."""
    found: dict[tuple[int, str], Sequence[Piece]] = {}
    for block in blocks:
        for (session,), rows in block.partition_by("session_id", as_dict=True).items():
            if rows.height > 1 and rows["waited_for"].is_null().all():
                return None
            calls = [
                PathCall(
                    row["call_id"],
                    row["waited_for"],
                    row["sent_ns"],
                    row["ended_ns"],
                    row["queue_ns"] or 0,
                )
                for row in rows.iter_rows(named=True)
            ]
            found[block["block"][0], session] = critical_path.pieces(calls)
    return found


def _sessions(
    served: pl.DataFrame, paths: _Paths | None, time: EngineTime | None
) -> list[SessionService]:
    usd = {} if time is None else {one.session_id: one.usd for one in time.sessions}
    spans = _spans(served, "session_id")
    found = []
    for session, blocks, calls, completion_s in spans.iter_rows():
        own = [] if paths is None else [p for (_, name), p in paths.items() if name == session]
        found.append(
            SessionService(
                session_id=session,
                calls=round(calls / blocks),
                completion_s=completion_s,
                path=None
                if paths is None
                else critical_path.added(
                    [piece.path for path in own for piece in path], divisor=blocks
                ),
                usd=usd.get(session),
            )
        )
    return found


def _spans(served: pl.DataFrame, label: str) -> pl.DataFrame:
    """Return label, its sessions in all blocks, its calls, and the mean time to its last answer."""
    spans = served.group_by(*dict.fromkeys((label, "session_id", "block"))).agg(
        calls=pl.len(), span_s=(pl.col("ended_ns").max() - pl.col("sent_ns").min()) / 1e9
    )
    return (
        spans.group_by(label)
        .agg(pl.len(), pl.col("calls").sum(), pl.col("span_s").mean())
        .sort(label)
    )


def _agents(
    served: pl.DataFrame, paths: _Paths | None, time: EngineTime | None
) -> list[AgentService]:
    usd = {} if time is None else {one.agent: one.usd for one in time.agents}
    sessions = dict(served.group_by("agent").agg(pl.col("session_id").n_unique()).iter_rows())
    agent_of = dict(served.select("call_id", "agent").unique().iter_rows())
    parts: dict[str, list[CriticalPath]] = {}
    for piece in (piece for path in (paths or {}).values() for piece in path):
        parts.setdefault(agent_of[piece.call_id], []).append(piece.path)
    found = []
    for agent, times, calls, completion_s in _spans(served, "agent").iter_rows():
        path = critical_path.added(parts.get(agent, []), divisor=times)
        found.append(
            AgentService(
                agent=agent,
                sessions=sessions[agent],
                calls=calls / times,
                completion_s=completion_s,
                path=None if paths is None else path,
                usd=usd.get(agent),
            )
        )
    return sorted(found, key=lambda one: (-(one.path.total_s if one.path else 0.0), one.agent))
