"""Compare a nightly run with the previous one of the same name, and report regressions.

Each arm is compared with the arm of the same name in the previous run, on the calls that both
served. With fewer than six sessions in common, the sessions are compared as two unpaired samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from phasewise_store import runs
from phasewise_store.run_facts import Run
from phasewise_store.store import Store

from phasewise_replay.nights.nightly_file import Gate
from phasewise_replay.verdicts import family, measures, statistics
from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.family import Pairs
from phasewise_replay.verdicts.measures import MEASURES, Measure
from phasewise_replay.verdicts.verdict import Judgement, Metric, Verdict


@dataclass(frozen=True, slots=True)
class Regression:
    """A measure that got worse than its gate allows, with an interval that excludes zero."""

    arm: str
    metric: Metric
    """the baseline is the previous night, the arm is tonight"""
    worse_percent: float
    allowed_percent: float


@dataclass(frozen=True, slots=True)
class Night:
    """Tonight's verdict, and what changed since the previous night."""

    verdict: Verdict
    last_run_id: str | None
    """None on the first night"""
    changes: tuple[Metric, ...]
    """every arm and measure against the previous night; `compared` is the arm"""
    regressions: tuple[Regression, ...]

    @property
    def passed(self) -> bool:
        """Whether the run is valid and no measure got worse than its gate allows."""
        return self.verdict.fidelity.passed and not self.regressions


def judge(store: Store, run_id: str, gates: Sequence[Gate]) -> Night:
    """Compare a finished run with the previous one of its name."""
    verdict = compare(store, run_id)
    last = _last(store, runs.run(store, run_id))
    if last is None or not verdict.fidelity.passed:
        return Night(verdict, None if last is None else last.run_id, (), ())
    changes = _changes(runs.measured(store, last.run_id), runs.measured(store, run_id))
    return Night(verdict, last.run_id, changes, tuple(_regressions(changes, gates)))


def _last(store: Store, tonight: Run) -> Run | None:
    """Return the newest earlier run of the name whose fidelity passed."""
    earlier = (
        run
        for run in runs.runs(store)
        if run.name == tonight.name
        and run.status == "finished"
        and run.started_ns < tonight.started_ns
    )
    return next((run for run in earlier if compare(store, run.run_id).fidelity.passed), None)


def _changes(then: pl.DataFrame, now: pl.DataFrame) -> tuple[Metric, ...]:
    unpaired: list[Metric] = []
    pairs: list[Pairs] = []
    arms = now["arm"].unique(maintain_order=True)
    for arm in arms.filter(arms.is_in(then["arm"].unique().to_list())):
        before, after = (
            one.filter((pl.col("arm") == arm) & pl.col("error").is_null()) for one in (then, now)
        )
        common = before.join(after, on="call_id", how="semi")["session_id"].n_unique()
        if common >= statistics.FEWEST:
            both = pl.concat(
                [
                    before.join(after, on="call_id", how="semi").with_columns(half=0),
                    after.join(before, on="call_id", how="semi").with_columns(half=1),
                ]
            )
            pairs += family.pairs(both, arm)
        else:
            unpaired += _unpaired(before, after, arm)
    return (*family.judged(pairs, void=False), *unpaired)


def _unpaired(before: pl.DataFrame, after: pl.DataFrame, arm: str) -> list[Metric]:
    one = measures.of_sessions(before.with_columns(half=0))
    two = measures.of_sessions(after.with_columns(half=1))
    found = []
    for measure in MEASURES:
        then = one[measure.name].drop_nulls().to_list()
        now = two[measure.name].drop_nulls().to_list()
        if then and now:
            found.append(_two_samples(measure, arm, then, now))
    return found


def _two_samples(measure: Measure, arm: str, then: list[float], now: list[float]) -> Metric:
    interval = measures.interval(measure, statistics.unpaired_interval, then, now)
    before, after = sum(then) / len(then), sum(now) / len(now)
    verdict: Judgement = "no significant difference"
    if interval is None:
        verdict = "too few sessions"
    elif interval.excludes_zero:
        verdict = "lower" if interval.high < 0 else "higher"
    return Metric(
        name=measure.name,
        title=measure.title,
        unit=measure.unit,
        compared=arm,
        baseline=before,
        arm=after,
        difference=after - before,
        ci95=None if interval is None else (interval.low, interval.high),
        ratio=after / before if before else None,
        sessions=min(len(then), len(now)),
        p_value=None,
        adjusted_p=None,
        minimum_detectable_effect=None,
        verdict=verdict,
    )


def _regressions(changes: Sequence[Metric], gates: Sequence[Gate]) -> list[Regression]:
    better = {measure.name: measure.better for measure in MEASURES}
    found = []
    for gate in gates:
        for metric in changes:
            if metric.name != gate.metric:
                continue
            bad = "higher" if better[metric.name] == "lower" else "lower"
            worse = 100 * abs(metric.difference / metric.baseline) if metric.baseline else 100.0
            if metric.verdict == bad and worse > gate.worse_percent:
                found.append(Regression(metric.compared, metric, worse, gate.worse_percent))
    return found
