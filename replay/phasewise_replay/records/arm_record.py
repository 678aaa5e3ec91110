"""What a run stores about an arm besides its calls: the JSON in `arms.resolved`.

`run` writes it, `compare` reads it to judge fidelity and to find confounders.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from phasewise_analyzer.engine.step_times import batch
from phasewise_store.run_facts import Arm, Basis


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """One block of an arm: how it started, and the engine's own counter at its end."""

    block: int
    canary_cached_tokens: int | None
    """cached tokens of the canary after the reset: 0 is cold; None when the engine reports none"""
    void: str | None = None
    """why nothing was measured in this block"""
    calls: int = 0
    skipped_calls: int = 0
    """calls not sent because their prompt and output exceed the model's context"""
    cached_tokens: int | None = None
    """sum over the responses, including the canary's"""
    engine_cached_tokens: int | None = None
    """increase of the engine's own counter during the block; must equal the sum"""
    wall_ns: int | None = None
    """from the first request after the canary to the last answer"""
    client_cpu_ns: int | None = None
    """CPU time of the driving process in that time, all threads"""
    other_lengths: int = 0
    """prompts that the engine reports with another number of tokens than were sent"""
    other_tokens: int = 0
    """calls that answered other tokens than they were forced to"""
    first_other: str | None = None
    """the first of them, and where it differs"""
    energy_j: float | None = None
    """of the GPU in that time, where it is measured"""
    prefill_steps_s: float | None = None
    """prefill's part of the engine's steps, where they are measured; as those below"""
    decode_steps_s: float | None = None
    node: str | None = None
    """of the cluster that the block ran on"""
    prefill_steps_low_s: float | None = None
    """by the two marginals of mixed steps; None where the engine has none"""
    prefill_steps_high_s: float | None = None
    steps: int | None = None
    """where each step is known"""
    mixed_steps: int | None = None
    steps_unmeasured: str | None = None
    """why an engine that could measure its steps did not"""
    preemptions: int | None = None
    """where the engine counts them"""
    kv_use_mean: float | None = None
    """share of the KV cache that running requests hold, where the engine reports it"""
    kv_use_peak: float | None = None
    drafts: int | None = None
    """steps of sequences that had a draft, where the engine speculates and counts them"""
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ArmForecast:
    """What the engine model said of an arm before it was measured."""

    means: Mapping[str, float] = field(default_factory=dict)
    """measures per session, by name: the mean over the sessions"""
    step_times: batch.Basis | None = None
    acceptance_length: float | None = None
    """tokens per step of a sequence that has a draft; None without speculation"""
    reason: str | None = None
    """why there is none"""


@dataclass(frozen=True, slots=True)
class ArmRecord:
    """The engine as it reported itself, and the arm's blocks."""

    engine: str
    model: str
    basis: Basis
    version: str | None = None
    prefix_caching: bool | None = None
    block_tokens: int | None = None
    blocks_of_kv: int | None = None
    max_model_tokens: int | None = None
    resets: str = "reset"
    settings: Mapping[str, object] = field(default_factory=dict)
    """every setting by its dotted name"""
    blocks: tuple[BlockRecord, ...] = ()
    machine: Mapping[str, object] = field(default_factory=dict)
    """GPU, driver, CPU, memory and versions, where the run was made on another machine"""
    step_times: batch.Basis | None = None
    """where the step times of a simulated engine come from"""
    forecast: ArmForecast | None = None
    """of a measured arm, where the plan asks for it"""
    equalised: Mapping[str, object] = field(default_factory=dict)
    """flags that the plan's `equalise` has added to the arm's own"""
    unequal: Mapping[str, str] = field(default_factory=dict)
    """by common name: why a setting may still differ from the baseline's"""
    endpoints: Mapping[str, int] = field(default_factory=dict)
    """sessions by the endpoint of their chats, where the plan chooses one; on a cluster, in every
    visit"""
    notes: tuple[str, ...] = ()
    """what was done otherwise than the plan asks, and why"""
    uneven: tuple[str, ...] = ()
    """what differed between the nodes of a cluster that it ran on"""


def encode(record: ArmRecord) -> str:
    """Write a record as the JSON that stands in the store."""
    return orjson.dumps(asdict(record), default=str, option=orjson.OPT_SORT_KEYS).decode()


def decode(arm: Arm) -> ArmRecord | None:
    """Read an arm's record; None where the arm never started."""
    return read(arm.resolved)


def read(resolved: str) -> ArmRecord | None:
    """Read what `encode` has written; None where the arm never started."""
    if resolved in ("", "{}"):
        return None
    found = orjson.loads(resolved)
    blocks = tuple(BlockRecord(**block) for block in found.pop("blocks"))
    step_times = _basis(found.pop("step_times", None))
    forecast = found.pop("forecast", None)
    if forecast is not None:
        forecast = ArmForecast(**(forecast | {"step_times": _basis(forecast["step_times"])}))
    found["notes"] = tuple(found.get("notes", ()))
    found["uneven"] = tuple(found.get("uneven", ()))
    return ArmRecord(**found, blocks=blocks, step_times=step_times, forecast=forecast)


def _basis(found: dict[str, Any] | None) -> batch.Basis | None:
    return None if found is None else batch.Basis(**found)
