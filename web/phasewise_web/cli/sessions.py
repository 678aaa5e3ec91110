"""Cost per session, split by phase, newest first."""

import argparse
from dataclasses import asdict

from phasewise_analyzer import rollups

from phasewise_web.caveats import caveats
from phasewise_web.cli import scope_arguments
from phasewise_web.cli.numbers import COST_COLUMNS, cost_cells
from phasewise_web.cli.open_database import analysed
from phasewise_web.cli.output import print_json, say, table

NAME = "sessions"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scope, --limit and --json."""
    scope_arguments.add_arguments(parser)
    parser.add_argument(
        "--limit",
        type=scope_arguments.positive,
        default=50,
        help="maximum number of rows (default: 50)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the roll-up."""
    with analysed(arguments.db) as store:
        rows = rollups.sessions(store, scope_arguments.scope(arguments), limit=arguments.limit)
    if arguments.json:
        print_json(
            [
                {name: getattr(row, name) for name in row.__slots__ if name != "totals"}
                | asdict(row.totals)
                for row in rows
            ]
        )
        return 0
    if not rows:
        scope_arguments.say_nothing_found(scope_arguments.scope(arguments))
        return 0
    columns = (("session", False), ("agents", False), *COST_COLUMNS, ("outcome", False))
    cells = [
        [row.session_id, ", ".join(row.agents), *cost_cells(row.totals), row.outcome or "-"]
        for row in rows
    ]
    table("", columns, cells)
    for note in caveats(row.totals for row in rows):
        say(f"note: {note}")
    if len(rows) == arguments.limit:
        say(f"showing the first {len(rows)} sessions; use --limit for more")
    return 0
