"""Fail a CI pipeline when its traces waste more input tokens than you allow.

Reads trace files, or the database when no file is named, and finds the breaks that the program
itself causes. Exits with 1 and prints the findings when these waste more than --max-waste of the
input tokens. Breaks that only the provider can repair do not count.
"""

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from phasewise_analyzer.analyse import analyse
from phasewise_analyzer.breaks import find as breaks
from phasewise_analyzer.breaks import recorded
from phasewise_analyzer.breaks.facts import Finding
from phasewise_analyzer.diagnosis.causes import PROVIDER_SIDE
from phasewise_collector.importing import import_paths
from phasewise_reports.words import percent
from phasewise_store.errors import UsageError
from phasewise_store.store import Store

from phasewise_web.cli import policy_arguments, scope_arguments
from phasewise_web.cli.breaks import print_findings
from phasewise_web.cli.open_database import opened
from phasewise_web.cli.output import print_json, progress, say, stdout

NAME = "check"


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check found."""

    passed: bool
    waste: float
    """share of the input tokens that the program's own breaks waste"""
    max_waste: float
    calls: int
    input_tokens: int
    wasted_tokens: int
    findings: tuple[Finding, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the paths, --max-waste, the scope, --policies and --json."""
    parser.add_argument(
        "path", type=Path, nargs="*", metavar="TRACES", help="trace files or folders"
    )
    parser.add_argument(
        "--max-waste",
        type=share,
        default=0.05,
        metavar="SHARE",
        help="maximum share of wasted input tokens, e.g. 5%% or 0.05 (default: 5%%)",
    )
    scope_arguments.add_arguments(parser)
    policy_arguments.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check the waste, and return 1 when it is too high."""
    scope, book = scope_arguments.scope(arguments), policy_arguments.given(arguments)
    with ExitStack() as stack:
        if arguments.path:
            store = stack.enter_context(Store.in_memory())
            with progress("importing") as step:
                done = import_paths(store, arguments.path, step=step)
            if not done.llm_calls:
                raise UsageError("no LLM calls in these files; is their format supported?")
        else:
            store = stack.enter_context(opened(arguments.db))
        with progress("analysing") as step:
            analyse(store, step=step)
        with store.snapshot(), progress("finding breaks") as step:
            if book is None:
                found = recorded.summary(store, scope)
            else:
                found = breaks.find(store, book, scope, step=step)
    if not found.calls:
        raise UsageError(
            "no calls with a known prompt to check; name trace files, or import some first"
        )
    own = tuple(
        one for one in found.findings if one.cause.wasteful and one.cause not in PROVIDER_SIDE
    )
    wasted = sum(one.lost_tokens for one in own)
    waste = min(1.0, wasted / found.input_tokens) if found.input_tokens else 0.0
    checked = Checked(
        waste <= arguments.max_waste,
        waste,
        arguments.max_waste,
        found.calls,
        found.input_tokens,
        wasted,
        own,
    )
    if arguments.json:
        print_json(checked)
    else:
        _print(checked)
    return 0 if checked.passed else 1


def share(text: str) -> float:
    """Read `5%` or `0.05`."""
    written = text.strip()
    try:
        found = float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise argparse.ArgumentTypeError(
            f"`{text}` is not a share between 0 and 1, such as 5% or 0.05"
        )
    return found


def _print(checked: Checked) -> None:
    if checked.findings:
        print_findings(checked.findings)
    stdout.print(
        f"{'passed' if checked.passed else 'FAILED'}: {percent(checked.waste)} % of "
        f"{checked.input_tokens:,} input tokens in {checked.calls:,} calls are wasted, "
        f"{percent(checked.max_waste)} % allowed",
        highlight=False,
    )
    if not checked.passed:
        say("repair the first finding, or allow more with --max-waste")
