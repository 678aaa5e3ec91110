"""The verdict of a replay run: made by `compare`, shown by the command line, pages and reports.

A difference is arm minus baseline, paired by session. It is called higher or lower only when its
interval excludes zero, its p-value holds among all measures, and the run's fidelity passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from phasewise_analyzer.engine.step_times import batch
from phasewise_store.run_facts import ArmStatus, Basis, RunStatus

from phasewise_replay.records.engine_settings import SideBySide
from phasewise_replay.sessions.selection import Selection
from phasewise_replay.verdicts.service_facts import ArmService
from phasewise_replay.verdicts.time_facts import EngineTime, LoneStep

Judgement = Literal["lower", "higher", "no significant difference", "too few sessions", "void"]
"""of a metric's difference; `void` when the run's fidelity failed"""


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm as it ran."""

    name: str
    place: int
    """0 is the baseline"""
    engine: str
    model: str | None
    basis: Basis | None
    """whether its times were measured or simulated; None when it never ran"""
    status: ArmStatus
    reason: str | None
    """why it is unsupported or failed, in the engine's own words"""
    config: Mapping[str, object]
    """as planned"""
    calls: int
    """measured, over all blocks"""
    errors: int
    hit_rate: float | None
    """cached tokens / input tokens, over all measured calls"""
    step_times: batch.Basis | None = None
    """where the step times of a simulated arm come from, with their error"""
    endpoints: Mapping[str, int] = field(default_factory=dict)
    """sessions by the endpoint of their chats, where the plan chooses one"""
    notes: tuple[str, ...] = ()
    """what was done otherwise than the plan asks, and why"""


@dataclass(frozen=True, slots=True)
class Metric:
    """One measure of one arm against the baseline."""

    name: str
    """e.g. `prefill_s`: seconds of prefill per session"""
    title: str
    """for people: `Prefill time per session`"""
    unit: str
    compared: str
    """name of the arm"""
    baseline: float
    """mean over the sessions"""
    arm: float
    difference: float
    """mean over the sessions of the paired difference, arm minus baseline"""
    ci95: tuple[float, float] | None
    """what a sign-flip test over sessions does not reject; None with fewer than six pairs"""
    ratio: float | None
    """arm / baseline; None where the baseline is zero"""
    sessions: int
    """pairs"""
    p_value: float | None
    """of the sign-flip test; None with fewer than six pairs"""
    adjusted_p: float | None
    """the same, corrected for all measures of all arms (Holm's step-down, jointly)"""
    minimum_detectable_effect: float | None
    """the smallest true difference that at least 80 % of runs like this detect"""
    verdict: Judgement


@dataclass(frozen=True, slots=True)
class Control:
    """A/A: the baseline's inner blocks against its outer ones; intervals should include zero."""

    metrics: tuple[Metric, ...]
    passed: bool | None
    """whether the headline metric's interval includes zero; None where it could not be done"""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one change does over all combinations with the others, or what several do together."""

    measure: str
    title: str
    factors: tuple[str, ...]
    """one: a main effect; more: an interaction"""
    ratio: float
    """geometric mean over the sessions; of an interaction: joint effect over the product"""
    ci95: tuple[float, float] | None
    adjusted_p: float
    sessions: int
    verdict: Judgement


@dataclass(frozen=True, slots=True)
class Quality:
    """An arm's answers against the baseline's; of the baseline itself, its own noise."""

    arm: str
    comparisons: int
    """pairs of answers to the same prompt"""
    exact: float | None
    """share that are the same, text and tool calls"""
    same_tools: float | None
    """of the pairs with a tool call: the same tools in the same order"""
    same_arguments: float | None
    """the same tools with the same arguments"""
    divergence: float | None
    """median of the characters before the first difference, where there is one"""
    length_ratio: float | None
    """mean length of the text over the baseline's"""
    excess_ci95: tuple[float, float] | None
    """share of a session's answers that differ beyond the baseline's own noise"""
    adjusted_p: float | None
    passed: bool | None
    """None of the baseline, and where there are too few sessions"""


@dataclass(frozen=True, slots=True)
class ForecastMeasure:
    """A measure's change from the baseline, as the engine model said and as it was measured."""

    name: str
    title: str
    unit: str
    predicted_percent: float
    measured_percent: float
    measured_ci95: tuple[float, float] | None
    """in percent of the baseline"""
    close: bool
    """whether they differ by at most 5 points, or a quarter of the measured change"""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the engine model said of an arm, and on which step times it stands."""

    arm: str
    step_times: batch.Basis | None
    reason: str | None
    """why there is no forecast"""
    measures: tuple[ForecastMeasure, ...]
    acceptance_length: float | None = None
    """tokens per step of a sequence that has a draft, as it said; None without speculation"""


@dataclass(frozen=True, slots=True)
class Check:
    """One fidelity check, with its limit."""

    name: str
    title: str
    value: float | None
    limit: str
    """in words, with the number: `at most 1 %`"""
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How faithfully the run reproduced the trace; a run that fails is void."""

    passed: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Failures:
    """Calls that failed."""

    calls: int
    of: int
    """all calls that were sent, over all arms and blocks"""
    reasons: tuple[str, ...]
    """the first few distinct error messages of the servers"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one run."""

    run_id: str
    name: str
    status: RunStatus
    started_ns: int
    finished_ns: int | None
    sessions: int
    calls: int
    """planned calls per block"""
    selections: tuple[Selection, ...]
    """how the sessions were chosen; empty of a run of designed steps"""
    arms: tuple[ArmSummary, ...]
    metrics: tuple[Metric, ...]
    """every arm but the baseline, headline metric first"""
    control: Control
    effects: tuple[Effect, ...]
    """where the arms are all combinations of two or more changes; empty otherwise"""
    quality: tuple[Quality, ...]
    """in quality mode: the baseline's own noise first, then every arm; empty otherwise"""
    service: tuple[ArmService, ...]
    """how every arm that ran served; of a quality run, empty"""
    engine_time: tuple[EngineTime, ...]
    """of every arm whose engine served this run alone"""
    lone_steps: tuple[LoneStep, ...]
    """of a run of designed steps; empty otherwise"""
    forecasts: tuple[Forecast, ...]
    """of every measured arm but the baseline, where the plan asked for them"""
    fidelity: Fidelity
    failures: Failures
    changed: Mapping[str, Mapping[str, tuple[object, object]]]
    """per arm: the resolved settings that differ from the baseline's, as (baseline, arm)"""
    side_by_side: Mapping[str, tuple[SideBySide, ...]]
    """per arm on another engine than the baseline's: what both engines can be set to"""
    headline: str
    """the result in one sentence, with its interval, and whether it was measured or simulated"""
