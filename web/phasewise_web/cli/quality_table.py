"""The table of answers that `compare` and `replay` print in quality mode."""

from collections.abc import Sequence

from phasewise_replay.verdicts.verdict import Quality
from phasewise_reports.words import UNKNOWN, count, percent, short

from phasewise_web.cli.output import table

COLUMNS = (
    ("arm", False),
    ("pairs", True),
    ("exact %", True),
    ("same tools %", True),
    ("same arguments %", True),
    ("differs after", True),
    ("length", True),
    ("beyond the baseline's noise, 95 % CI", True),
    ("gate", False),
)
GATES = {True: "passed", False: "FAILED", None: UNKNOWN}


def print_quality(found: Sequence[Quality]) -> None:
    """Print the baseline's own noise and every arm; nothing in performance mode."""
    if found:
        table("answers against the baseline's", COLUMNS, list(map(_row, found)))


def _row(one: Quality) -> list[str]:
    interval = UNKNOWN
    if one.excess_ci95 is not None:
        interval = " to ".join(map(percent, one.excess_ci95))
    return [
        one.arm,
        count(one.comparisons),
        percent(one.exact),
        percent(one.same_tools),
        percent(one.same_arguments),
        short(one.divergence),
        short(one.length_ratio),
        interval,
        GATES[one.passed],
    ]
