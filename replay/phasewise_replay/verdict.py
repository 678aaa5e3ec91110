"""What a replay proved: `compare` makes it, the command line, the pages and the reports show it.

Facts only. A difference is arm less baseline, paired by session; nothing is called more or less
unless its interval excludes zero and the run's fidelity passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from phasewise_store.runs import ArmStatus, Basis, RunStatus

Judgement = Literal["lower", "higher", "no difference shown", "too few sessions", "void"]
"""of a metric's difference; `void` where the run's fidelity failed"""


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm as it ran."""

    name: str
    place: int
    """0 is the baseline"""
    engine: str
    model: str | None
    basis: Basis | None
    """whether its times were measured or simulated; None where it never ran"""
    status: ArmStatus
    reason: str | None
    """why it is unsupported or failed: the engine's own words"""
    config: Mapping[str, object]
    """as planned"""
    calls: int
    """measured, over all blocks"""
    errors: int
    hit_rate: float | None
    """cached tokens / input tokens, over all measured calls"""


@dataclass(frozen=True, slots=True)
class Metric:
    """One measure of one arm against the baseline."""

    name: str
    """e.g. `prefill_s`: seconds of prefill a session"""
    title: str
    """for people: `Prefill a session`"""
    unit: str
    compared: str
    """name of the arm"""
    baseline: float
    """mean over the sessions"""
    arm: float
    difference: float
    """mean over the sessions of the paired difference, arm less baseline"""
    ci95: tuple[float, float] | None
    """bootstrap over sessions of the mean paired difference; None with fewer than five pairs"""
    ratio: float | None
    """arm / baseline; None where the baseline is zero"""
    sessions: int
    """pairs"""
    least_detectable: float | None
    """the smallest difference this run would have shown with 80 % power"""
    verdict: Judgement


@dataclass(frozen=True, slots=True)
class Control:
    """A/A: the baseline's inner blocks against its outer ones; intervals should include zero."""

    metrics: tuple[Metric, ...]
    passed: bool | None
    """whether the headline metric's interval includes zero; None where it could not be done"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing about the run's fidelity, against its limit."""

    name: str
    title: str
    value: float | None
    limit: str
    """in words, with the number: `at most 1 %`"""
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How faithfully the run reproduced the trace; below the bar it is void."""

    passed: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Failures:
    """Calls that an engine did not answer."""

    calls: int
    of: int
    """all calls that were sent, over all arms and blocks"""
    reasons: tuple[str, ...]
    """the servers' own words, the first few that differ"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One run, judged."""

    run_id: str
    name: str
    status: RunStatus
    started_ns: int
    finished_ns: int | None
    sessions: int
    calls: int
    """planned calls of a block"""
    arms: tuple[ArmSummary, ...]
    metrics: tuple[Metric, ...]
    """every arm but the baseline, headline metric first"""
    control: Control
    fidelity: Fidelity
    failures: Failures
    changed: Mapping[str, Mapping[str, tuple[object, object]]]
    """per arm: the resolved settings that differ from the baseline's, as (baseline, arm)"""
    headline: str
    """the result in one sentence, with its interval, that says estimate, measured or simulated"""
