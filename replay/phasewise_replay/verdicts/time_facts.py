"""The parts of a verdict that say where an engine's time went: per session, and per lone step."""

from dataclasses import dataclass
from typing import Literal

from phasewise_store.run_facts import Basis

StepKind = Literal["prefill", "decode", "mixed"]


@dataclass(frozen=True, slots=True)
class SessionTime:
    """One session's part of the engine's time: the mean over an arm's blocks, in GPU-seconds."""

    session_id: str
    prefill_s: float
    prefill_band_s: tuple[float, float]
    """by the two marginals of mixed steps"""
    decode_s: float
    mixed_s: float
    """in mixed steps that nothing shares between the phases"""
    prefill_usd: float | None
    """at the middle price of a GPU; None where it is not known"""
    decode_usd: float | None
    mixed_usd: float | None

    @property
    def usd(self) -> float | None:
        """All of it."""
        return _sum(self.prefill_usd, self.decode_usd, self.mixed_usd)


@dataclass(frozen=True, slots=True)
class AgentTime:
    """The same of one agent's calls, per session that it has a call in."""

    agent: str
    prefill_s: float
    decode_s: float
    mixed_s: float
    usd: float | None


@dataclass(frozen=True, slots=True)
class EngineTime:
    """An arm's engine time per session, by phase: means over the sessions, in GPU-seconds."""

    arm: str
    gpu: str | None
    """None where the engine ran without one: then these are seconds of the engine"""
    gpus: int
    basis: Basis
    method: str
    """where the phases come from, in words"""
    usd_hour: tuple[float, float, float] | None
    """low, middle and high price of one GPU; None where it is not known"""
    price_source: str | None
    prefill_s: float
    prefill_band_s: tuple[float, float]
    decode_s: float
    mixed_s: float
    prefill_usd: float | None
    """at the middle price; the other two are in proportion"""
    decode_usd: float | None
    mixed_usd: float | None
    filling_s: float
    """per session, to fill the cache before it begins; in none of the above"""
    idle_share: float | None
    """of the engine's wall time, in which it served nothing"""
    energy_j: float | None
    """of the GPU per session, idle time included"""
    kv_tokens: int | None
    """that the KV cache holds"""
    sessions: tuple[SessionTime, ...]
    agents: tuple[AgentTime, ...]

    @property
    def usd(self) -> float | None:
        """Dollars per session."""
        return _sum(self.prefill_usd, self.decode_usd, self.mixed_usd)


@dataclass(frozen=True, slots=True)
class LoneStep:
    """One designed step as it was measured, beside what the roofline said before."""

    arm: str
    kind: StepKind
    new_tokens: int
    """prompt tokens computed; of a decode 0"""
    cached_tokens: int
    """of the same prompt, before them"""
    batch: int
    """sequences that decode"""
    context_tokens: int
    """of each of them"""
    as_designed: bool
    """whether the engine found cached what was to be; otherwise it computed more"""
    samples: int
    basis: Basis
    measured_s: float
    """median: of the whole prefill, or of one decode step"""
    low_s: float
    high_s: float
    """smallest and largest"""
    prior_s: float | None
    """of the roofline; None where the model's shape or the GPU is not known"""


def _sum(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
