"""The parts of a verdict that say how well an arm served: as it was measured, without a test."""

from dataclasses import dataclass

from phasewise_store.run_facts import Basis


@dataclass(frozen=True, slots=True)
class Goodput:
    """How many calls met the plan's SLO."""

    limits: str
    """in words"""
    share: float
    """of the measured calls; one that failed does not meet it"""
    calls_s: float
    """such calls per second"""
    sessions_share: float
    """of the sessions, those of which every call met it"""


@dataclass(frozen=True, slots=True)
class HitRates:
    """How much of the prompts came from the prefix cache, in three definitions."""

    by_tokens: float | None
    """cached tokens / input tokens, over all calls"""
    by_calls: float | None
    """mean over the calls of cached / input tokens"""
    reachable: float | None
    """tokens that an endless cache would have had / input tokens"""
    of_reachable: float | None
    """cached tokens / those that an endless cache would have had"""


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The chain of calls that a session's end waited for, in seconds.

    The parts sum to the time from its first call to its last answer.
    """

    model_s: float
    """in the engine, after the queue"""
    queue_s: float
    tool_s: float
    """between an answer and the call that followed it: tools, think time, people, send lag"""

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.model_s + self.queue_s + self.tool_s


@dataclass(frozen=True, slots=True)
class SessionService:
    """How one session was served: means over an arm's blocks."""

    session_id: str
    calls: int
    completion_s: float
    """from its first call to its last answer"""
    path: CriticalPath | None
    """None of runs that do not know what a call waited for"""
    usd: float | None
    """its engine time at the price of the GPU; None where either is not known"""


@dataclass(frozen=True, slots=True)
class AgentService:
    """How the calls of one agent were served: means over its sessions and an arm's blocks."""

    agent: str
    sessions: int
    calls: float
    """per session"""
    completion_s: float
    """from its first call in a session to its last answer"""
    path: CriticalPath | None
    """its part of the sessions' critical paths"""
    usd: float | None


@dataclass(frozen=True, slots=True)
class ArmService:
    """How an arm served, over all its blocks."""

    arm: str
    basis: Basis
    measured_s: float
    """in which at least one session was measured: throughputs are per second of it"""
    sessions_hour: float
    calls_s: float
    output_tokens_s: float | None
    goodput: Goodput | None
    """None where the plan has no SLO, or a call has no time to first token"""
    hit_rates: HitRates
    preemptions: float | None
    """per block; SGLang's retractions; None where the engine does not count them"""
    kv_use_mean: float | None
    """share of the KV cache that running requests held, sampled once a second"""
    kv_use_peak: float | None
    acceptance_length: float | None
    """tokens per step of a sequence that had a draft; None where none were counted"""
    accepted_share: float | None
    """of the drafted tokens"""
    energy_j: float | None
    """of the GPU per session"""
    no_energy: str
    """why there is none; empty where there is"""
    sessions: tuple[SessionService, ...]
    """the one that took longest first"""
    agents: tuple[AgentService, ...]
    """the one with the most of the critical path first"""
    calls: float
    """per session, as the next three"""
    completion_s: float
    path: CriticalPath | None
    usd: float | None
