"""Run a read-only SQL query over the store; `docs/schema.md` lists the tables."""

import argparse

from phasewise_web.cli.open_database import opened
from phasewise_web.cli.output import print_json, table

NAME = "sql"

NUMERIC = ("INT", "DOUBLE", "DECIMAL", "FLOAT", "NUMBER")
LIMIT_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the query, --limit-s and --json."""
    parser.add_argument("query", metavar="QUERY", help="one SELECT, DESCRIBE or SHOW statement")
    parser.add_argument(
        "--limit-s",
        type=float,
        default=LIMIT_S,
        metavar="SECONDS",
        help="time limit of the query in seconds (default: %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON: a list of objects")


def run(arguments: argparse.Namespace) -> int:
    """Run the query without write access or access to other files, and print the rows."""
    with opened(arguments.db) as store:
        answer = store.query(arguments.query, limit_s=arguments.limit_s)
    if arguments.json:
        print_json([dict(zip(answer.columns, row, strict=True)) for row in answer.rows])
    else:
        headers = [
            (name, any(kind in one.upper() for kind in NUMERIC))
            for name, one in zip(answer.columns, answer.types, strict=True)
        ]
        table("", headers, [[_cell(value) for value in row] for row in answer.rows])
    return 0


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
