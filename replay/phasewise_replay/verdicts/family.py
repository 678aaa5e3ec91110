"""All measures of a plan, judged together: paired by session, corrected for their number.

`compare` and `nightly` make the pairs; a family is every measure of every arm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import polars as pl

from phasewise_replay.verdicts import measures, sign_flips, statistics
from phasewise_replay.verdicts.measures import MEASURES, Measure
from phasewise_replay.verdicts.statistics import Interval
from phasewise_replay.verdicts.verdict import Judgement, Metric

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Pairs:
    """One measure in both halves, session by session."""

    measure: Measure
    compared: str
    sessions: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def differences(self) -> tuple[float, ...]:
        """After less before."""
        return tuple(two - one for one, two in zip(self.before, self.after, strict=True))

    @property
    def changes(self) -> tuple[float, ...]:
        """What the test flips: logarithms of ratios, so that a long session is one among others.

        Differences where a session has none of the quantity, and its ratio says nothing.
        """
        if min(*self.before, *self.after) <= 0:
            return self.differences
        return tuple(log(two / one) for one, two in zip(self.before, self.after, strict=True))


def pairs(calls: pl.DataFrame, compared: str) -> list[Pairs]:
    """Pair half 1 with half 0 for every measure that both have; `calls` have a column `half`."""
    rows = measures.of_sessions(calls)
    found: list[Pairs] = []
    for measure in MEASURES:
        sides = (
            rows.pivot(on="half", index="session_id", values=measure.name)
            if rows.height
            else pl.DataFrame()
        )
        if not {"0", "1"} <= set(sides.columns):
            continue
        sides = sides.drop_nulls()
        if sides.height:
            columns = (tuple(sides[name].to_list()) for name in ("session_id", "0", "1"))
            found.append(Pairs(measure, compared, *columns))
    return found


def judged(family: Sequence[Pairs], *, void: bool) -> list[Metric]:
    """Return the metrics of a family in its order."""
    if not family:
        return []
    sessions = sorted({session for one in family for session in one.sessions})
    place = {session: at for at, session in enumerate(sessions)}
    changes = np.zeros((len(sessions), len(family)))
    for column, one in enumerate(family):
        for session, change in zip(one.sessions, one.changes, strict=True):
            changes[place[session], column] = change
    enough = len(sessions) >= statistics.FEWEST
    p_values = sign_flips.p_values(changes) if enough else None
    adjusted = sign_flips.adjusted(changes) if enough else None
    critical_t = sign_flips.critical_t(changes) if enough else None
    return [
        _metric(
            one,
            None if p_values is None else p_values[column],
            None if adjusted is None else adjusted[column],
            critical_t,
            void=void,
        )
        for column, one in enumerate(family)
    ]


def _metric(
    pair: Pairs,
    p_value: float | None,
    adjusted_p: float | None,
    critical_t: float | None,
    *,
    void: bool,
) -> Metric:
    measure, count = pair.measure, len(pair.sessions)
    interval = measures.interval(measure, statistics.paired_interval, pair.before, pair.after)
    baseline, arm = sum(pair.before) / count, sum(pair.after) / count
    tested = interval is not None and p_value is not None and adjusted_p is not None
    return Metric(
        name=measure.name,
        title=measure.title,
        unit=measure.unit,
        compared=pair.compared,
        baseline=baseline,
        arm=arm,
        difference=sum(pair.differences) / count,
        ci95=None if interval is None else (interval.low, interval.high),
        ratio=arm / baseline if baseline else None,
        sessions=count,
        p_value=p_value if tested else None,
        adjusted_p=adjusted_p if tested else None,
        minimum_detectable_effect=statistics.minimum_detectable_effect(
            pair.before, pair.after, interval, critical_t
        ),
        verdict="void" if void else judgement(interval, p_value, adjusted_p, sessions=count),
    )


def judgement(
    interval: Interval | None, p_value: float | None, adjusted_p: float | None, *, sessions: int
) -> Judgement:
    """Return the word for a difference: its interval and its test must agree."""
    if interval is None or p_value is None or adjusted_p is None:
        return "too few sessions"
    if not interval.excludes_zero:
        return "no significant difference"
    if adjusted_p <= LEVEL:
        return "lower" if interval.high < 0 else "higher"
    # all sessions agree, and so few of them cannot prove it among so many measures
    agree = p_value <= sign_flips.least_p_value(sessions) * (1 + 1e-9)
    return "too few sessions" if agree else "no significant difference"
