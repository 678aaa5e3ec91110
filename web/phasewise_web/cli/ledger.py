"""Where every dollar of the input bill went: read from a cache, new, broken, or lost by a rule.

Each call is judged by its provider's cache policy of that day: what the rule says was read is
predicted from what earlier calls had sent, and compared with what was reported. The lines sum to
the bill.
"""

import argparse
from collections.abc import Sequence
from typing import get_args

from phasewise_analyzer.groups import By
from phasewise_analyzer.ledger.accounting import keep
from phasewise_analyzer.ledger.facts import Ledger, Line
from phasewise_reports.words import count, moment, percent, usd
from phasewise_store.errors import UsageError

from phasewise_web.cli import policy_arguments, scope_arguments
from phasewise_web.cli.open_database import analysed
from phasewise_web.cli.output import print_json, progress, stdout, table

NAME = "ledger"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scope, --policies, --by, --calls and --json."""
    scope_arguments.add_arguments(parser)
    policy_arguments.add_arguments(parser)
    parser.add_argument("--by", choices=get_args(By), help="also the ledger of each")
    parser.add_argument("--calls", action="store_true", help="explain call by call")


def run(arguments: argparse.Namespace) -> int:
    """Print the ledger."""
    book = policy_arguments.read(arguments)
    with analysed(arguments.db) as store, progress("judging calls") as step:
        found = keep(store, book, scope_arguments.scope(arguments), by=arguments.by, step=step)
    if arguments.json:
        print_json(found)
        return 0
    if not found.calls:
        raise UsageError("no calls in scope; `phasewise agents` shows what there is")
    _print(found)
    if arguments.calls:
        _print_calls(found)
    return 0


def _print(found: Ledger) -> None:
    bill = "no price known" if found.prefill_usd is None else f"{usd(found.prefill_usd)} $"
    stdout.print(
        f"{found.calls:,} calls, {found.input_tokens:,} input tokens, input bill {bill}",
        highlight=False,
    )
    _print_lines("", found.input_tokens, found.lines)
    for account in found.accounts:
        title = f"{account.key}: {account.calls:,} calls"
        _print_lines(title, account.input_tokens, account.lines)
    if found.judged_calls:
        stdout.print(
            f"on {found.exact_calls:,} of {found.judged_calls:,} calls exactly as much was read as "
            "the provider's rule says",
            highlight=False,
        )
    for drift in found.drifts:
        stdout.print(
            f"from {moment(drift.at_ns)} on (call {drift.call_id}), {drift.provider} read "
            f"{percent(drift.after)} % of what its rule promises for {drift.model}; before, "
            f"{percent(drift.before)} % (p = {drift.p_value:.3f}, {drift.calls:,} calls)",
            highlight=False,
        )


def _print_lines(title: str, input_tokens: int, lines: Sequence[Line]) -> None:
    table(
        title,
        (
            ("input tokens", False),
            ("calls", True),
            ("tokens", True),
            ("share %", True),
            ("$", True),
        ),
        [
            [
                line.reason,
                count(line.calls),
                count(line.tokens),
                percent(line.tokens / input_tokens if input_tokens else None),
                usd(line.usd),
            ]
            for line in lines
        ],
    )


def _print_calls(found: Ledger) -> None:
    table(
        "call by call",
        (
            ("call", False),
            ("policy", False),
            ("sent before", True),
            ("rule says", True),
            ("read", True),
            ("what the input was", False),
        ),
        [
            [
                one.call_id,
                one.policy or "-",
                count(one.sent_before),
                count(one.predicted_read),
                count(one.reported_read),
                ", ".join(f"{part.reason} {part.tokens:,}" for part in one.parts),
            ]
            for one in found.explained
        ],
    )
