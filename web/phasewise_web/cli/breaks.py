"""Prefix breaks: where a prompt stops matching an earlier one, with cause, price and repair.

A break is a prompt that does not go on where an earlier one ended, or one that does and was not
read from the cache although the provider's rule lets it be. Breaks of one agent, place and cause
are one finding. What is lost is priced as what the tokens cost more than a read from the cache.
"""

import argparse
from collections.abc import Sequence

from phasewise_analyzer.breaks import find as breaks
from phasewise_analyzer.breaks.facts import Breaks, Finding
from phasewise_reports.words import count, percent, tokens, usd
from phasewise_store.errors import UsageError

from phasewise_web.cli import policy_arguments, scope_arguments
from phasewise_web.cli.open_database import analysed
from phasewise_web.cli.output import print_json, progress, say, stdout, table

NAME = "breaks"

SHOWN_CHARACTERS = 28
"""of each side of a differing text"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scope, --policies, --calls and --json."""
    scope_arguments.add_arguments(parser)
    policy_arguments.add_arguments(parser)
    parser.add_argument("--calls", action="store_true", help="list the breaks call by call")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings."""
    book = policy_arguments.read(arguments)
    with analysed(arguments.db) as store, progress("finding breaks") as step:
        found = breaks.find(store, book, scope_arguments.scope(arguments), step=step)
    if arguments.json:
        print_json(found)
        return 0
    if not found.calls:
        raise UsageError("no calls with a known prompt in scope; `phasewise agents` shows what is")
    print_summary(found)
    print_findings(found.findings)
    if arguments.calls:
        _print_calls(found)
    return 0


def print_summary(found: Breaks) -> None:
    """Print what was looked at and what is wasted."""
    money = "" if found.wasted_usd is None else f", {usd(found.wasted_usd)} $"
    of_bill = "" if found.prefill_usd is None else f" of {usd(found.prefill_usd)} $ for input"
    stdout.print(
        f"{found.calls:,} calls, {found.input_tokens:,} input tokens; {len(found.breaks):,} calls "
        f"read again {found.wasted_tokens:,} tokens ({percent(found.waste)} %){money}{of_bill} "
        "to no use",
        highlight=False,
    )
    if found.diagnosed_calls:
        stdout.print(
            f"of {found.diagnosed_calls:,} calls the provider itself said why its cache missed; on "
            f"{found.agreed_calls:,} of them we say the same",
            highlight=False,
        )


def print_findings(findings: Sequence[Finding]) -> None:
    """Print a table of findings and the repair of each cause."""
    table(
        "",
        (
            ("agent", False),
            ("place", False),
            ("cause", False),
            ("before -> after", False),
            ("calls", True),
            ("sessions", True),
            ("lost tokens", True),
            ("lost $", True),
            ("$ a month", True),
        ),
        [
            [
                one.agent,
                one.place or one.tier,
                one.cause.name if one.cause.wasteful else f"{one.cause.name} (no waste)",
                differing(one),
                count(one.calls),
                count(one.sessions),
                tokens(one.lost_tokens),
                usd(one.lost_usd),
                usd(one.usd_a_month),
            ]
            for one in findings
        ],
    )
    for cause in dict.fromkeys(one.cause for one in findings):
        say(f"{cause.name}: {cause.what}. {cause.fix[:1].upper()}{cause.fix[1:]}.")


def differing(finding: Finding) -> str:
    """Write the text that differs, cut short; empty where only hashes are known."""
    sides = [
        text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
        for text in (finding.example.before, finding.example.after)
    ]
    return " -> ".join(f"`{side}`" for side in sides) if any(sides) else ""


def _print_calls(found: Breaks) -> None:
    table(
        "call by call",
        (
            ("call", False),
            ("compared with", False),
            ("cause", False),
            ("place", False),
            ("expected", True),
            ("shared", True),
            ("read", True),
            ("lost", True),
            ("lost $", True),
        ),
        [
            [
                one.call_id,
                one.after_call_id,
                one.cause.name,
                one.place,
                count(one.expected_tokens),
                count(one.shared_tokens),
                count(one.read_tokens),
                count(one.lost_tokens),
                usd(one.lost_usd),
            ]
            for one in found.breaks
        ],
    )
