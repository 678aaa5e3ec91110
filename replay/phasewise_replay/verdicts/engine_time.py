"""The engine's time per session and phase, in GPU-seconds and dollars, for every arm of a run.

A simulated engine shares every step among its calls, and so is every step of a real one that logs
them (vLLM). Where a real engine counts the time of its prefill and decode steps (SGLang), it is
shared among the calls by when they were in which phase. Otherwise, with one session at a time, the
engine's own prefill and decode times of calls are used. With several, these overlap: where calls
prefill while others decode, the time is shared as the engine model shares a mixed step
(`phase_share`), and both marginals are kept as the band.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import polars as pl
from phasewise_analyzer.engine.deployments.deployment import Deployment
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.runs.phase_share import prefill_share
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_store.errors import UsageError

from phasewise_replay.engine import PhaseSeconds
from phasewise_replay.records.arm_record import ArmRecord, BlockRecord
from phasewise_replay.verdicts import phase_timeline, prior
from phasewise_replay.verdicts.phase_timeline import Occupied, Served, Split
from phasewise_replay.verdicts.time_facts import AgentTime, EngineTime, SessionTime

NOBODY: Mapping[str, str] = {}
ROUNDING_TOKENS = 256
"""mixed steps of nearly the same size are computed once"""
STEPS = "the engine's own prefill and decode steps"
OWN = "the engine's own times"
LOGGED = "the engine's own steps, each shared among its calls"
NOT_LOGGED = "its steps were not measured"
MODEL = "the engine model, which shares every step among its calls"
CLIENT = "the client's times, as the engine reports none"
SHARED = "mixed steps shared by the engine model"
UNSHARED = "mixed steps not shared, as the model's shape or the GPU is not known"


def of_arm(
    arm: str,
    record: ArmRecord,
    calls: pl.DataFrame,
    config: Mapping[str, object],
    *,
    sequential: bool,
    agents: Mapping[str, str] = NOBODY,
    usd_hour: float | None = None,
) -> EngineTime | None:
    """Return an arm's times; `calls` are those it served, `usd_hour` is the own price of a GPU.

    `agents` are the names of the calls' agents.

    None for a server that others may use too, and where no call has a time.
    """
    served = calls.filter(pl.col("error").is_null() & pl.col("duration_ns").is_not_null())
    if record.engine == "url" or served["warm"].all():  # also of no calls
        return None
    count = prior.gpu_count(record)
    own = bool(served["prefill_ns"].is_not_null().all())
    stepwise = bool(served["prefill_gpu_s"].is_not_null().all())
    mixed = _Mixed(None if stepwise else prior.of_arm(record, config))
    steps = {
        block.block: PhaseSeconds(block.prefill_steps_s, block.decode_steps_s)
        for block in record.blocks
        if block.prefill_steps_s is not None and block.decode_steps_s is not None
    }
    bands = {block.block: _band(block) for block in record.blocks}
    blocks = [
        _shared(rows, count, bands.get(rows["block"][0], SURE))
        if stepwise
        else _block(rows, sequential=sequential, own=own, mixed=mixed, steps=steps)
        for rows in served.partition_by("block")
    ]
    walls = {block.block: block.wall_ns for block in record.blocks}
    wall_ns = sum(walls.get(block.number) or block.span_ns for block in blocks)
    busy_ns = sum(one.total_ns for block in blocks for one in block.occupied)
    gpu = prior.gpu_name(record)
    price = _price(gpu, usd_hour)
    if stepwise:
        method = MODEL if record.basis == "simulated" else _logged(record)
    elif all(block.number in steps for block in blocks):
        method = STEPS
    else:
        method = OWN if own else CLIENT
        if not sequential:
            method += f"; {SHARED if mixed.engine is not None else UNSHARED}"
        method += "".join(sorted({_reason(block) for block in record.blocks}))
    usd_s = None if price is None else price.mid / 3600
    sessions = tuple(_sessions(blocks, count, usd_s))
    prefill_s = fmean(one.prefill_s for one in sessions)
    decode_s = fmean(one.decode_s for one in sessions)
    mixed_s = fmean(one.mixed_s for one in sessions)
    filling_ns = sum(
        one.total_ns
        for block in blocks
        for session, one in zip(block.sessions, block.occupied, strict=True)
        if session is None
    )
    served_sessions = {block.number: len(set(block.sessions) - {None}) for block in blocks}
    return EngineTime(
        arm=arm,
        gpu=gpu,
        gpus=count,
        basis=record.basis,
        method=method,
        usd_hour=None if price is None else (price.low, price.mid, price.high),
        price_source=None if price is None else price.source,
        prefill_s=prefill_s,
        prefill_band_s=(
            fmean(one.prefill_band_s[0] for one in sessions),
            fmean(one.prefill_band_s[1] for one in sessions),
        ),
        decode_s=decode_s,
        mixed_s=mixed_s,
        prefill_usd=_usd(prefill_s, usd_s),
        decode_usd=_usd(decode_s, usd_s),
        mixed_usd=_usd(mixed_s, usd_s),
        filling_s=filling_ns / 1e9 * count / sum(served_sessions.values()),
        idle_share=max(0.0, 1 - busy_ns / wall_ns) if wall_ns else None,
        kv_tokens=None
        if record.blocks_of_kv is None or record.block_tokens is None
        else record.blocks_of_kv * record.block_tokens,
        energy_j=_energy(record, served_sessions),
        sessions=sessions,
        agents=tuple(_agents(blocks, count, usd_s, agents)),
    )


def _energy(record: ArmRecord, sessions: Mapping[int, int]) -> float | None:
    """Return the energy per session; `sessions` are served in each block, fewer in a shard's."""
    known = {
        block.block: block.energy_j
        for block in record.blocks
        if block.energy_j is not None and sessions.get(block.block)
    }
    return sum(known.values()) / sum(sessions[block] for block in known) if known else None


@dataclass(slots=True)
class _Block:
    """One block's calls and their parts of its time."""

    number: int
    span_ns: int
    calls: list[str]
    sessions: list[str | None]
    """None of a call that fills the cache before a session"""
    occupied: list[Occupied]


@dataclass(slots=True)
class _Mixed:
    """Splits mixed steps by the engine model; remembers those it has split."""

    engine: Deployment | None
    known: dict[tuple[tuple[Chunk, ...], int, int], Split] = field(default_factory=dict)

    def split(self, reading: Sequence[Served], writing: Sequence[Served]) -> Split | None:
        """Return the prefill's part of a step of these calls, prompts first come, first served."""
        if self.engine is None:
            return None
        most = self.engine.config.step_tokens or sum(_rounded(one.new) for one in reading)
        left = max(1, most - len(writing))
        chunks: list[Chunk] = []
        for one in reading:
            if left <= 0:
                break
            new = min(_rounded(one.new), left)
            # a prompt longer than a step: the chunk in its middle
            chunks.append(Chunk(new, _rounded(one.cached + (one.new - new) // 2)))
            left -= new
        context = sum(_rounded(one.context) for one in writing)
        key = (tuple(chunks), len(writing), context)
        if key not in self.known:
            self.known[key] = self._computed(*key)
        return self.known[key]

    def _computed(self, chunks: tuple[Chunk, ...], decodes: int, context: int) -> Split:
        assert self.engine is not None
        times, longest = self.engine.times, context // decodes
        prefill = times.step_s(Batch(chunks))
        decode = times.step_s(Batch(decodes=decodes, context=context, longest=longest))
        whole = times.step_s(Batch(chunks, decodes=decodes, context=context, longest=longest))
        share = prefill_share(
            Batch(chunks, decodes=decodes, context=context, longest=longest), times
        )
        low, high = max(0.0, 1 - decode / whole), min(1.0, prefill / whole)
        return Split(share, min(low, share), max(high, share))


def _rounded(tokens: int) -> int:
    return max(1, -(-tokens // ROUNDING_TOKENS)) * ROUNDING_TOKENS


SURE = (1.0, 1.0)
"""the band of a split that nothing is mixed in, in parts of the prefill"""


def _band(block: BlockRecord) -> tuple[float, float]:
    """Return the band of a block's prefill, in parts of it."""
    whole, low = block.prefill_steps_s, block.prefill_steps_low_s
    high = block.prefill_steps_high_s
    return SURE if not whole or low is None or high is None else (low / whole, high / whole)


def _logged(record: ArmRecord) -> str:
    """Say what logged steps are, and how many were mixed."""
    steps = sum(block.steps or 0 for block in record.blocks)
    mixed = sum(block.mixed_steps or 0 for block in record.blocks)
    return f"{LOGGED} ({steps:,} steps, {mixed:,} of them mixed)"


def _reason(block: BlockRecord) -> str:
    """Say why an engine that could measure its steps did not."""
    return "" if block.steps_unmeasured is None else f"; {NOT_LOGGED}: {block.steps_unmeasured}"


def _shared(rows: pl.DataFrame, count: int, band: tuple[float, float]) -> _Block:
    """Return a block whose calls' GPU-seconds are known."""
    occupied = [
        Occupied(prefill, decode, 0.0, prefill * band[0], prefill * band[1])
        for prefill, decode in rows.select(
            pl.col("prefill_gpu_s", "decode_gpu_s") * 1e9 / count
        ).iter_rows()
    ]
    return _Block(
        rows["block"][0], _span_ns(rows), rows["call_id"].to_list(), _sessions_of(rows), occupied
    )


def _sessions_of(rows: pl.DataFrame) -> list[str | None]:
    measured = pl.when(~pl.col("warm")).then(pl.col("session_id"))
    return rows.select(measured).to_series().to_list()


def _span_ns(rows: pl.DataFrame) -> int:
    """Return the time from the first request to the last answer."""
    sent, took = rows["sent_ns"].to_list(), rows["duration_ns"].to_list()
    return int(max(map(sum, zip(sent, took, strict=True))) - min(sent))


def _block(
    rows: pl.DataFrame,
    *,
    sequential: bool,
    own: bool,
    mixed: _Mixed,
    steps: Mapping[int, PhaseSeconds],
) -> _Block:
    calls = [_served(row, own=own) for row in rows.iter_rows(named=True)]
    measured = steps.get(rows["block"][0])
    if measured is not None:
        occupied = _by_steps(calls, measured)
    elif sequential:
        occupied = [_alone(call) for call in calls]
    else:
        occupied = phase_timeline.share(calls, mixed.split)
    return _Block(
        rows["block"][0], _span_ns(rows), rows["call_id"].to_list(), _sessions_of(rows), occupied
    )


def _served(row: Mapping[str, int], *, own: bool) -> Served:
    queued = (row["queue_ns"] or 0) + row["prefill_ns"] if own else row["duration_ns"]
    first = row["sent_ns"] + (row["ttft_ns"] or queued)
    last = row["sent_ns"] + row["duration_ns"]
    prefill = row["prefill_ns"] if own else first - row["sent_ns"]
    decode = (row["decode_ns"] or 0) if own else last - first
    cached = row["cached_tokens"] or 0
    read = row["input_tokens"] or 0
    return Served(
        (first - prefill, first),
        (first, first + decode),
        new=max(0, read - cached),
        cached=cached,
        context=read + (row["output_tokens"] or 0),
    )


def _by_steps(calls: Sequence[Served], measured: PhaseSeconds) -> list[Occupied]:
    """Share the measured time of prefill and decode steps among calls.

    Where calls are in both phases at once, the engine runs one kind of step after the other: the
    part that is prefill is chosen so that prefill has its measured share of all time.
    """
    apart = phase_timeline.share(calls, lambda reading, writing: None)
    prefill, decode, both = (
        sum(getattr(one, name) for one in apart) for name in ("prefill_ns", "decode_ns", "mixed_ns")
    )
    busy_s = measured.prefill_s + measured.decode_s
    wanted = (prefill + decode + both) * (measured.prefill_s / busy_s if busy_s else 0.0)
    part = min(1.0, max(0.0, (wanted - prefill) / both)) if both else 0.0
    found = phase_timeline.share(calls, lambda reading, writing: Split(part, part, part))
    prefill_scale = _scale(measured.prefill_s, sum(one.prefill_ns for one in found))
    decode_scale = _scale(measured.decode_s, sum(one.decode_ns for one in found))
    return [
        Occupied(
            one.prefill_ns * prefill_scale,
            one.decode_ns * decode_scale,
            0.0,
            one.prefill_ns * prefill_scale,
            one.prefill_ns * prefill_scale,
        )
        for one in found
    ]


def _scale(wanted_s: float, found_ns: float) -> float:
    return wanted_s * 1e9 / found_ns if found_ns else 0.0


def _alone(call: Served) -> Occupied:
    prefill = float(call.prefill_ns[1] - call.prefill_ns[0])
    decode = float(call.decode_ns[1] - call.decode_ns[0])
    return Occupied(prefill, decode, 0.0, prefill, prefill)


def _sessions(blocks: Sequence[_Block], count: int, usd_s: float | None) -> list[SessionTime]:
    """Return each session's mean over the blocks, in GPU-seconds and dollars."""
    found = []
    for session, (total, times) in _added(blocks, lambda block: block.sessions):
        scale = count / times / 1e9
        found.append(
            SessionTime(
                session_id=session,
                prefill_s=total.prefill_ns * scale,
                prefill_band_s=(total.prefill_low_ns * scale, total.prefill_high_ns * scale),
                decode_s=total.decode_ns * scale,
                mixed_s=total.mixed_ns * scale,
                prefill_usd=_usd(total.prefill_ns * scale, usd_s),
                decode_usd=_usd(total.decode_ns * scale, usd_s),
                mixed_usd=_usd(total.mixed_ns * scale, usd_s),
            )
        )
    return found


def _agents(
    blocks: Sequence[_Block], count: int, usd_s: float | None, agents: Mapping[str, str]
) -> list[AgentTime]:
    """Return each agent's mean over blocks and sessions, in GPU-seconds and dollars."""
    names = [[agents.get(call, "-") for call in block.calls] for block in blocks]
    by_number = dict(zip((block.number for block in blocks), names, strict=True))
    found = []
    for agent, (total, times) in _added(blocks, lambda block: by_number[block.number]):
        scale = count / times / 1e9
        found.append(
            AgentTime(
                agent=agent,
                prefill_s=total.prefill_ns * scale,
                decode_s=total.decode_ns * scale,
                mixed_s=total.mixed_ns * scale,
                usd=_usd(total.total_ns * scale, usd_s),
            )
        )
    return found


def _added(
    blocks: Sequence[_Block], labels: Callable[[_Block], Sequence[str | None]]
) -> list[tuple[str, tuple[Occupied, int]]]:
    """Sum the time of measured calls by label; also in how many sessions of blocks it is."""
    sums: dict[str, Occupied] = {}
    places: dict[str, set[tuple[int, str]]] = {}
    for block in blocks:
        rows = zip(labels(block), block.sessions, block.occupied, strict=True)
        for label, session, one in rows:
            if session is None or label is None:
                continue
            total = sums.setdefault(label, Occupied())
            total.prefill_ns += one.prefill_ns
            total.decode_ns += one.decode_ns
            total.mixed_ns += one.mixed_ns
            total.prefill_low_ns += one.prefill_low_ns
            total.prefill_high_ns += one.prefill_high_ns
            places.setdefault(label, set()).add((block.number, session))
    return [(label, (total, len(places[label]))) for label, total in sorted(sums.items())]


def _usd(seconds: float, usd_s: float | None) -> float | None:
    return None if usd_s is None else seconds * usd_s


def _price(gpu: str | None, usd_hour: float | None) -> gpus.PriceBand | None:
    """Return what the GPU costs: the user's own price, the published band, or None."""
    if usd_hour is not None:
        return gpus.PriceBand(usd_hour, usd_hour, usd_hour, None, "given")
    try:
        return None if gpu is None else gpus.price(gpu)
    except UsageError:
        return None
