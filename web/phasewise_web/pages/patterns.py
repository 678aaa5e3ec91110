"""Every macro of the pages once, with made-up values that are labelled as such."""

from dataclasses import dataclass

from phasewise_replay.verdicts.verdict import Metric
from phasewise_reports.charts import Curve, IntervalPlot, Part, curve, interval_plot, split
from phasewise_reports.trend_chart import Point, Trend, trend


@dataclass(frozen=True, slots=True)
class PatternsPage:
    """What the macros are shown with."""

    parts: tuple[Part, ...]
    curve: Curve | None
    plot: IntervalPlot | None
    trend: Trend | None


def patterns_page() -> PatternsPage:
    """Make the page."""

    def metric(difference: float) -> Metric:
        return Metric(
            name="prefill_s",
            title="Prefill time per session",
            unit="s",
            compared="example",
            baseline=1.0,
            arm=1.0 + difference,
            difference=difference,
            ci95=(difference - 0.1, difference + 0.1),
            ratio=1.0 + difference,
            sessions=12,
            p_value=0.01,
            adjusted_p=0.03,
            minimum_detectable_effect=0.1,
            verdict="lower" if difference < -0.1 else "no significant difference",
        )

    return PatternsPage(
        split(cached=3, prefill=4, unreported=2, decode=2, other=1),
        curve(
            [(10, 0.05), (100, 0.3), (1000, 0.6), (10_000, 0.7)],
            label="an example",
            x_label="blocks in the cache",
            unit="blocks",
        ),
        interval_plot([metric(-0.5)], [metric(0.02)]),
        trend(
            [
                Point("Mon", 2.0, "Monday: 2 s", False),
                Point("Tue", 2.1, "Tuesday: 2.1 s", False),
                Point("Wed", 3.0, "Wednesday: 3 s", True),
            ],
            label="an example",
            unit="s",
        ),
    )
