"""The tables of what the engine model said of each arm, beside what was measured."""

from collections.abc import Sequence

from phasewise_replay.verdicts.verdict import Forecast, ForecastMeasure
from phasewise_reports.words import UNKNOWN

from phasewise_web.cli.output import stdout, table

COLUMNS = (
    ("change, %", False),
    ("predicted", True),
    ("measured", True),
    ("95 % CI", True),
    ("forecast", False),
)


def print_forecasts(found: Sequence[Forecast]) -> None:
    """Print a table for each arm, or why it has no forecast."""
    for one in found:
        if one.reason is not None:
            text = f"{one.arm}: no forecast, {one.reason}"
            stdout.print(text, highlight=False, markup=False, soft_wrap=True)
            continue
        basis = "" if one.step_times is None else f" ({one.step_times.in_words})"
        table(f"{one.arm}, forecast{basis}", COLUMNS, list(map(_row, one.measures)))
        if one.acceptance_length is not None:
            text = f"  acceptance length as forecast: {one.acceptance_length:.2f} tokens"
            stdout.print(text, highlight=False, markup=False, soft_wrap=True)


def _row(one: ForecastMeasure) -> list[str]:
    interval = UNKNOWN
    if one.measured_ci95 is not None:
        interval = " to ".join(f"{end:+.1f}" for end in one.measured_ci95)
    return [
        one.title,
        f"{one.predicted_percent:+.1f}",
        f"{one.measured_percent:+.1f}",
        interval,
        "close" if one.close else "off",
    ]
