"""Replay recorded sessions against the arms of a plan, and print the verdict.

PLAN is a YAML file; docs/replay.md describes every key. Ctrl-C keeps the calls measured so far and
stops all servers; --resume continues there, and counts every call once.
"""

import argparse
from pathlib import Path

from phasewise_replay.plans import plan_file
from phasewise_replay.verdicts.compare import compare

from phasewise_web.cli import replaying
from phasewise_web.cli.compare import exit_code, print_verdict
from phasewise_web.cli.open_database import opened
from phasewise_web.cli.output import print_json, progress

NAME = "replay"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the plan and --json."""
    parser.add_argument("plan", type=Path, metavar="PLAN", help="YAML file")
    replaying.add_arguments(
        parser, resume="continue the newest unfinished run of the same plan, if there is one"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Replay, judge, print."""
    plan = plan_file.read(arguments.plan)
    with opened(arguments.db) as store:
        with progress(f"replaying {plan.name}") as step:
            run_id = replaying.replay(store, plan, arguments, step)
        verdict = compare(store, run_id)
    if arguments.json:
        print_json(verdict)
    else:
        print_verdict(verdict)
    return exit_code(verdict)
