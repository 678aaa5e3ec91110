"""Show what Phasewise does on the bundled sample traces, then serve the pages.

Loads the sample traces into a separate database, splits the cost of every call into prefill and
decode, finds repeated prefixes, replays a few sessions with prefix caching off and on in the
built-in simulator, and prints the verdict. Ctrl-C stops the server. A second run does not load the
traces again.
"""

import argparse
from importlib import resources
from pathlib import Path

from phasewise_analyzer import rollups
from phasewise_analyzer.analyse import analyse
from phasewise_analyzer.prefixes import kept_reuse
from phasewise_collector import samples
from phasewise_collector.importing import import_paths
from phasewise_replay.plans import plan_file
from phasewise_replay.runs.run import run as replay
from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.verdict import Verdict
from phasewise_reports.words import percent
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_web.cli.agents import print_agents
from phasewise_web.cli.compare import exit_code, print_verdict
from phasewise_web.cli.open_database import created
from phasewise_web.cli.output import progress, say, stdout
from phasewise_web.cli.up import add_ports, addresses_of, serve

NAME = "demo"
PLAN = "demo.yaml"
DATABASE = Path(".demo/phasewise.duckdb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --no-serve and the addresses; the database is the demo's own unless --db names one."""
    parser.set_defaults(db=DATABASE)
    parser.add_argument("--no-serve", action="store_true", help="exit after the verdict")
    add_ports(parser)


def run(arguments: argparse.Namespace) -> int:
    """Load, analyse, replay, print, serve."""
    arguments.db.parent.mkdir(parents=True, exist_ok=True)
    with created(arguments.db) as store:
        verdict = _show(store)
    if not arguments.no_serve:
        serve(arguments.db, addresses_of(arguments))
    return exit_code(verdict)


def _show(store: Store) -> Verdict:
    with samples.folder() as folder:
        traces = samples.traces(folder)
        with progress("loading the sample traces") as step:
            done = import_paths(store, traces, step=step)
    with progress("analysing") as step:
        analyse(store, step=step)
    say(f"{done.files} sample files read, {done.already_there} already imported\n")
    print_agents(rollups.agents(store))
    stdout.print()
    plan = plan_file.parse(
        resources.files("phasewise_web.cli").joinpath(PLAN).read_text("utf-8"), PLAN
    )
    found = kept_reuse.find(store, Scope(source=plan.sessions.source))[0].reuse
    stdout.print(
        f"{percent(found.any_earlier.token_weighted)} % of the prompt tokens of "
        f"{plan.sessions.source} were sent by an earlier call before, "
        f"{percent(found.previous_call.token_weighted)} % by the agent's previous call\n",
        highlight=False,
        soft_wrap=True,
    )
    with progress("replaying") as step:
        run_id = replay(store, plan, step=step)
    verdict = compare(store, run_id)
    print_verdict(verdict)
    return verdict
