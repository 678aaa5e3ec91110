"""Compare what the engine model said of each arm's change with what was measured."""

from collections.abc import Mapping, Sequence

from phasewise_replay.records.arm_record import ArmForecast, ArmRecord
from phasewise_replay.verdicts.verdict import Forecast, ForecastMeasure, Metric

UNSTABLE = "queue_ms"
"""a change in percent of next to nothing says nothing"""
LEAST_POINTS, SHARE_OF_GAIN = 5.0, 0.25
"""a forecast is close where it is off by at most so many points, or this share of the change"""


def check(
    baseline: str, records: Mapping[str, ArmRecord], metrics: Sequence[Metric]
) -> tuple[Forecast, ...]:
    """Return a forecast of every arm that has one, beside its measured change."""
    before = records[baseline].forecast if baseline in records else None
    if before is None:
        return ()
    found = []
    for arm, record in records.items():
        if arm == baseline or record.forecast is None:
            continue
        reason = before.reason or record.forecast.reason
        own = [metric for metric in metrics if metric.compared == arm]
        measures = () if reason else tuple(_measures(before, record.forecast, own))
        said = record.forecast
        found.append(Forecast(arm, said.step_times, reason, measures, said.acceptance_length))
    return tuple(found)


def _measures(
    before: ArmForecast, after: ArmForecast, metrics: Sequence[Metric]
) -> list[ForecastMeasure]:
    found = []
    for metric in metrics:
        then, now = before.means.get(metric.name), after.means.get(metric.name)
        if not then or now is None or metric.baseline <= 0:
            continue
        if metric.unit == "share" or metric.name == UNSTABLE:
            continue
        scale = 100 / metric.baseline
        predicted, measured = 100 * (now / then - 1), metric.difference * scale
        found.append(
            ForecastMeasure(
                name=metric.name,
                title=metric.title,
                unit=metric.unit,
                predicted_percent=predicted,
                measured_percent=measured,
                measured_ci95=None
                if metric.ci95 is None
                else (metric.ci95[0] * scale, metric.ci95[1] * scale),
                close=abs(predicted - measured) <= max(LEAST_POINTS, SHARE_OF_GAIN * abs(measured)),
            )
        )
    return found
