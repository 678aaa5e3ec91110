"""Prefix breaks: where a prompt stops matching an earlier one, with cause, cost and repair.

A break is a call that pays full price for tokens an earlier call already sent: its prompt changed
in front of them, or the cache served less than was sent before. Breaks with the same agent, place
and cause form one finding. Lost dollars are what the tokens cost above the price of a cache read.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from phasewise_analyzer.breaks import find as breaks
from phasewise_analyzer.breaks import recorded
from phasewise_analyzer.breaks.facts import Breaks, Finding
from phasewise_reports.words import count, percent, tokens, usd
from phasewise_store.errors import UsageError

from phasewise_web.cli import policy_arguments, scope_arguments
from phasewise_web.cli.open_database import analysed
from phasewise_web.cli.output import print_json, progress, say, stdout, table

NAME = "breaks"

SHOWN_CHARACTERS = 28
"""shown of each side of a difference"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scope, --policies, --calls and --json."""
    scope_arguments.add_arguments(parser)
    policy_arguments.add_arguments(parser)
    parser.add_argument("--calls", action="store_true", help="list the breaks call by call")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings."""
    scope, book = scope_arguments.scope(arguments), policy_arguments.given(arguments)
    with analysed(arguments.db) as store:
        if book is not None:
            with progress("finding breaks") as step:
                found = breaks.find(store, book, scope, step=step)
        else:
            found = recorded.summary(store, scope)
            if arguments.json or arguments.calls:
                found = replace(found, breaks=recorded.breaks(store, scope))
    if arguments.json:
        print_json(found)
        return 0
    if not found.calls:
        raise UsageError("no calls with a known prompt; see all calls with `phasewise agents`")
    print_summary(found)
    print_findings(found.findings)
    if arguments.calls:
        _print_calls(found)
    return 0


def print_summary(found: Breaks) -> None:
    """Print what was analysed and what is wasted."""
    money = "" if found.wasted_usd is None else f", {usd(found.wasted_usd)} $"
    broken = sum(one.calls for one in found.findings)
    of_bill = "" if found.prefill_usd is None else f" of {usd(found.prefill_usd)} $ for input"
    stdout.print(
        f"{found.calls:,} calls, {found.input_tokens:,} input tokens; "
        f"{broken:,} breaks; wasted: {found.wasted_tokens:,} tokens "
        f"({percent(found.waste)} %){money}{of_bill}",
        highlight=False,
    )
    if found.diagnosed_calls:
        stdout.print(
            f"the provider reported why its cache missed on {found.diagnosed_calls:,} calls; "
            f"Phasewise names the same cause on {found.agreed_calls:,} of them",
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
            ("$ per month", True),
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
    """Return the text that differs, shortened; empty when only hashes are known."""
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
