"""Break the input bill down by reason: read from cache, new, broken, or missed by a cache rule.

Applies the provider's cache policy of that day to each call: predicts from earlier calls what the
cache should have served, and compares it with what was reported. The lines sum to the bill.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from phasewise_analyzer.groups import By
from phasewise_analyzer.ledger import recorded
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
    parser.add_argument(
        "--by", choices=get_args(By), help="also print a ledger per file, session, agent or model"
    )
    parser.add_argument("--calls", action="store_true", help="explain call by call")


def run(arguments: argparse.Namespace) -> int:
    """Print the ledger."""
    scope, book = scope_arguments.scope(arguments), policy_arguments.given(arguments)
    with analysed(arguments.db) as store:
        if book is not None:
            with progress("applying cache policies") as step:
                found = keep(store, book, scope, by=arguments.by, step=step)
        elif arguments.json or arguments.calls:
            found = recorded.whole(store, scope, by=arguments.by)
        else:
            groups = recorded.accounts(store, scope, arguments.by) if arguments.by else ()
            found = replace(recorded.summary(store, scope), accounts=groups)
    if arguments.json:
        print_json(found)
        return 0
    if not found.calls:
        raise UsageError("no calls match; `phasewise agents` lists all agents")
    _print(found)
    if arguments.calls:
        _print_calls(found)
    return 0


def _print(found: Ledger) -> None:
    bill = "unknown (no prices)" if found.prefill_usd is None else f"{usd(found.prefill_usd)} $"
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
            f"the provider's rule predicts the cached tokens of {found.exact_calls:,} of "
            f"{found.judged_calls:,} calls exactly",
            highlight=False,
        )
    for drift in found.drifts:
        stdout.print(
            f"since {moment(drift.at_ns)} (call {drift.call_id}), {drift.provider} has served "
            f"{percent(drift.after)} % of the cached tokens that its rule predicts for "
            f"{drift.model}; before, {percent(drift.before)} % (p = {drift.p_value:.3f}, "
            f"{drift.calls:,} calls)",
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
            ("above a cache read $", True),
        ),
        [
            [
                line.reason,
                count(line.calls),
                count(line.tokens),
                percent(line.tokens / input_tokens if input_tokens else None),
                usd(line.usd),
                usd(line.extra_usd),
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
            ("rule predicts", True),
            ("read", True),
            ("input by reason", False),
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
