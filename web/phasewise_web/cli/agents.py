"""Cost per agent, split by phase, most expensive first."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from phasewise_analyzer import rollups
from phasewise_analyzer.findings import AgentRow
from phasewise_reports.words import count
from phasewise_store.scope import EVERYTHING, Scope

from phasewise_web.caveats import caveats
from phasewise_web.cli import scope_arguments
from phasewise_web.cli.numbers import COST_COLUMNS, cost_cells
from phasewise_web.cli.open_database import analysed
from phasewise_web.cli.output import print_json, say, table

NAME = "agents"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scope and --json."""
    scope_arguments.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the roll-up."""
    with analysed(arguments.db) as store:
        rows = rollups.agents(store, scope_arguments.scope(arguments))
    if arguments.json:
        print_json([{"agent": row.agent} | asdict(row.totals) for row in rows])
    else:
        print_agents(rows, scope_arguments.scope(arguments))
    return 0


def print_agents(rows: Sequence[AgentRow], scope: Scope = EVERYTHING) -> None:
    """Print the table, or the command that adds calls when there are none."""
    if not rows:
        scope_arguments.say_nothing_found(scope)
        return
    columns = (("agent", False), ("sessions", True), *COST_COLUMNS)
    cells = [[row.agent, count(row.totals.sessions), *cost_cells(row.totals)] for row in rows]
    table("", columns, cells)
    for note in caveats(row.totals for row in rows):
        say(f"note: {note}")
