"""Prefix reuse: how much of the prompts was sent before, and the cache size that would serve it.

Reuse is measured against all earlier calls of the data set and against the previous call of the
same agent, with three definitions of the hit rate. The LRU rows evict as vLLM does: least recently
used first, the end of a prompt before its beginning.
"""

import argparse
from typing import get_args

from phasewise_analyzer import rollups
from phasewise_analyzer.engine.shapes import model_config
from phasewise_analyzer.engine.shapes.shape import Shape
from phasewise_analyzer.findings import Prefixes
from phasewise_analyzer.groups import By
from phasewise_analyzer.prefixes import kept_reuse, repeats, reuse
from phasewise_analyzer.prefixes.repeats import Repeats
from phasewise_reports.words import count, lifetime, percent
from phasewise_store.errors import UsageError
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_web.cli import scope_arguments
from phasewise_web.cli.open_database import analysed
from phasewise_web.cli.output import print_json, progress, say, stdout, table

NAME = "prefixes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scope, --by, --capacity-blocks and --json."""
    scope_arguments.add_arguments(parser)
    parser.add_argument(
        "--by",
        choices=get_args(By),
        help="also print the reuse within each file, session, agent or model",
    )
    parser.add_argument(
        "--capacity-blocks",
        metavar="N,N,…",
        default=(),
        type=_capacities,
        help="cache sizes of the LRU rows (default: 1, 2, 5, 10 … up to one that hits all reuse)",
    )
    parser.add_argument(
        "--kv-model",
        metavar="NAME",
        help="also print the KV memory of that many blocks for a model, e.g. llama-3.1-70b",
    )
    parser.add_argument(
        "--anywhere",
        action="store_true",
        help="also count text sent before at any position, not only as a prefix (an upper bound)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the reuse."""
    shape = None if arguments.kv_model is None else model_config.known(arguments.kv_model)
    scope = scope_arguments.scope(arguments)
    with analysed(arguments.db) as store:
        found = _found(store, scope, arguments)
        missing = rollups.totals(store, scope).calls - found.calls
        with progress("comparing texts at any place"):
            anywhere = repeats.find(store, scope, by=arguments.by) if arguments.anywhere else None
    if missing > 0:
        say(f"note: {missing:,} calls that came last are not compared yet; ask again in a moment")
    if arguments.json:
        print_json(found if anywhere is None else {"prefixes": found, "anywhere": anywhere})
        return 0
    _print(found, shape)
    if anywhere is not None:
        _print_anywhere(anywhere)
    return 0


def _found(store: Store, scope: Scope, arguments: argparse.Namespace) -> Prefixes:
    """Add up what is kept; capacities that nobody keeps are computed from all prompts."""
    if not arguments.capacity_blocks:
        return kept_reuse.find(store, scope, by=arguments.by)[0]
    with progress("comparing all prompts for these capacities"):
        return reuse.find(store, scope, capacities=arguments.capacity_blocks, by=arguments.by)


def _capacities(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a list of whole numbers above 0")
    return found


def _print(found: Prefixes, shape: Shape | None) -> None:
    if not found.calls:
        raise UsageError("no calls match; `phasewise agents` lists all agents")
    stdout.print(
        f"{found.calls:,} calls, {found.input_tokens:,} input and {found.output_tokens:,} output "
        "tokens",
        highlight=False,
    )
    columns = (
        ("% of prompt tokens sent before by", False),
        ("token-weighted", True),
        ("block-weighted", True),
        ("mean of calls", True),
    )
    reuse = found.reuse
    both = (
        ("any earlier call", reuse.any_earlier),
        ("the agent's previous call", reuse.previous_call),
    )
    table(
        "",
        columns,
        [
            [
                name,
                *map(percent, (rate.token_weighted, rate.block_weighted, rate.mean_of_calls)),
            ]
            for name, rate in both
        ],
    )
    _print_capacities(found, shape)
    if found.ttl:
        table(
            "cache that drops entries not used for the given time",
            (("TTL", True), ("token hit rate %", True)),
            [[lifetime(row.ttl_s), percent(row.token_weighted)] for row in found.ttl],
        )
    if found.groups:
        table(
            "within each group",
            (
                ("group", False),
                ("calls", True),
                ("input", True),
                ("any earlier %", True),
                ("previous %", True),
            ),
            [
                [
                    group.key,
                    count(group.calls),
                    count(group.input_tokens),
                    percent(group.reuse.any_earlier.token_weighted),
                    percent(group.reuse.previous_call.token_weighted),
                ]
                for group in found.groups
            ],
        )


def _print_capacities(found: Prefixes, shape: Shape | None) -> None:
    """Print the capacity rows; the memory of each where a model's shape is named."""
    memory = () if shape is None else ((f"GB of {shape.name}", True),)

    def gigabytes(blocks: int) -> list[str]:
        if shape is None:
            return []
        return [f"{blocks * found.block_tokens * shape.kv_bytes / 1e9:,.1f}"]

    table(
        f"LRU cache with the given number of blocks of {found.block_tokens} tokens",
        (
            ("blocks", True),
            *memory,
            ("hit blocks", True),
            ("block hit rate %", True),
            ("token hit rate %", True),
        ),
        [
            [
                count(row.capacity_blocks),
                *gigabytes(row.capacity_blocks),
                count(row.hit_blocks),
                percent(row.block_weighted),
                percent(row.token_weighted),
            ]
            for row in found.lru
        ],
    )


def _print_anywhere(found: Repeats) -> None:
    """Print what repeats at any position, and how often the average byte was sent."""
    table(
        "sent before at any position (the most that position-independent caching could serve)",
        (
            ("group", False),
            ("as a prefix %", True),
            ("anywhere %", True),
            ("sent, MB", True),
            ("unique, MB", True),
            ("each byte sent", True),
        ),
        [
            [
                one.key or "all",
                percent(one.prefix_share),
                percent(one.anywhere_share),
                f"{one.sent_bytes / 1e6:,.1f}" if one.sent_bytes else "-",
                f"{one.unique_bytes / 1e6:,.2f}" if one.unique_bytes else "-",
                "-" if one.dedup_factor is None else f"{one.dedup_factor:.1f} times",
            ]
            for one in (found.whole, *found.groups)
        ],
    )
