"""The table of two engines' settings that `compare` and `replay` print: equal, or why not."""

from collections.abc import Mapping, Sequence

from phasewise_replay.records.engine_settings import SideBySide
from phasewise_reports.words import setting_value

from phasewise_web.cli.output import table

COLUMNS = (
    *(("setting", False), ("baseline", True), ("arm", True)),
    *(("", False), ("flag added by `equalise`", False)),
)


def print_settings(found: Mapping[str, Sequence[SideBySide]]) -> None:
    """Print a table for each arm on another engine than the baseline's."""
    for arm, rows in found.items():
        table(f"{arm}, settings of both engines", COLUMNS, list(map(_row, rows)))


def _row(row: SideBySide) -> list[str]:
    state = "equal" if row.equal else f"differs: {row.why}" if row.why else "differs"
    two = setting_value(row.baseline), setting_value(row.arm)
    return [row.title, *two, state, row.added or ""]
