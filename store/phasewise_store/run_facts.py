"""The facts of a replay run: the run, its arms, and every measured call.

Written by `runs` into the store, and by a replay on a machine without one into a file.
"""

from dataclasses import dataclass
from typing import Literal

RunStatus = Literal["running", "finished", "interrupted", "failed"]
ArmStatus = Literal["ok", "unsupported", "failed", "skipped"]
"""skipped: it could have run, but the time was spent"""
Basis = Literal["measured", "simulated"]


@dataclass(frozen=True, slots=True)
class Run:
    """Arms times blocks over a set of sessions."""

    run_id: str
    name: str
    plan: str
    """the plan's YAML, as read"""
    started_ns: int
    finished_ns: int | None = None
    status: RunStatus = "running"
    detail: str | None = None
    selection: str | None = None
    """JSON: how its sessions were chosen, and what was left out of them or replaced"""


@dataclass(frozen=True, slots=True)
class Arm:
    """One engine configuration of a run; place 0 is the baseline."""

    run_id: str
    arm: str
    place: int
    engine: str
    config: str
    """JSON: as planned"""
    resolved: str
    """JSON: as the engine reports itself"""
    status: ArmStatus = "ok"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class MeasuredCall:
    """One call as an engine served it in one block of an arm."""

    run_id: str
    arm: str
    block: int
    """which turn of the arm, from 0: the order ABBA gives each arm two"""
    session_id: str
    call_id: str
    step: int
    sent_ns: int
    lag_ns: int
    """sent later than the plan asked"""
    planned_output_tokens: int
    basis: Basis
    ttft_ns: int | None = None
    """as the client saw it"""
    duration_ns: int | None = None
    """as the client saw it, to the last token"""
    queue_ns: int | None = None
    """the engine's own, as the two below"""
    prefill_ns: int | None = None
    decode_ns: int | None = None
    prefill_gpu_s: float | None = None
    """GPU-seconds: its part of the steps that were simulated or logged; as the one below"""
    decode_gpu_s: float | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    predicted_cached_tokens: int | None = None
    output_tokens: int | None = None
    output: str | None = None
    """JSON: `text` and `tool_calls` as pairs of name and arguments; only in quality mode"""
    error: str | None = None
    waited_for: str | None = None
    """the call whose answer it followed; None at a session's start"""
    reachable_tokens: int | None = None
    """of the input, what an endless prefix cache would have had"""
    preemptions: int | None = None
    """simulated"""
    warm: bool = False
    """it filled the cache before its session, and is in no measure"""
