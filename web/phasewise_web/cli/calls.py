"""Every LLM call in order: tokens, phases, price."""

import argparse

from phasewise_analyzer import rollups
from phasewise_reports.words import count, seconds, usd

from phasewise_web.cli import scope_arguments
from phasewise_web.cli.numbers import share
from phasewise_web.cli.open_database import analysed
from phasewise_web.cli.output import print_json, say, table

NAME = "calls"

COLUMNS = (
    ("call", False),
    ("agent", False),
    ("model", False),
    ("input", True),
    ("cached %", True),
    ("sent before %", True),
    ("output", True),
    ("prefill s", True),
    ("decode s", True),
    ("basis", False),
    ("prefill $", True),
    ("decode $", True),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scope, --limit and --json."""
    scope_arguments.add_arguments(parser)
    parser.add_argument(
        "--limit",
        type=scope_arguments.positive,
        default=100,
        help="maximum number of rows (default: 100)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the calls."""
    with analysed(arguments.db) as store:
        found = rollups.calls(store, scope_arguments.scope(arguments), limit=arguments.limit)
    if arguments.json:
        print_json(found.drop("leaf_node", "output_segments").to_dicts())
        return 0
    if not found.height:
        scope_arguments.say_nothing_found(scope_arguments.scope(arguments))
        return 0
    cells = [
        [
            row["call_id"],
            row["agent"] or "-",
            row["model"] or "-",
            count(row["input_tokens"]),
            share(row["cache_read_tokens"], row["input_tokens"]) if row["cache_reported"] else "-",
            share(row["sent_before_tokens"], row["input_tokens"]),
            count(row["output_tokens"]),
            seconds(row["prefill_ns"]),
            seconds(row["decode_ns"]),
            row["latency_basis"] or "-",
            usd(row["prefill_usd"]),
            usd(row["decode_usd"]),
        ]
        for row in found.iter_rows(named=True)
    ]
    table("", COLUMNS, cells)
    if found.height == arguments.limit:
        say(f"showing the first {found.height} calls; use --limit for more")
    return 0
