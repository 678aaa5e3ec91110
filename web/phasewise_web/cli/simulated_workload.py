"""What `phasewise simulate` serves: a file with arrivals (open loop), or sessions of the store."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from phasewise_analyzer.engine.deployments.deployment import Deployment
from phasewise_analyzer.engine.runs import workload
from phasewise_analyzer.engine.runs.closed_loop import serve_graphs
from phasewise_analyzer.engine.runs.layout import Layout
from phasewise_analyzer.engine.runs.simulation import Outcome, refuse_oversized, sum_up
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.speculation.assumed import assumed_drafts, refuse_impossible
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.sessions import stored_workload
from phasewise_store.errors import UsageError
from phasewise_store.scope import Scope

from phasewise_web.cli import open_database
from phasewise_web.cli.output import say

AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Workload:
    """Calls, ready to be served."""

    serve: Callable[[Layout], Outcome]
    requests: list[Request] | None = None
    """of a file: its arrivals can be sent faster and slower"""
    call_ids: tuple[str, ...] | None = None
    """of stored calls"""
    speculation: Mapping[str, object] | None = None
    """how is drafted, and what that stands on"""


def add_arguments(parser: argparse.ArgumentParser, positive: Callable[[str], int]) -> None:
    """Add FILE, and the choice of stored sessions."""
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="requests, as JSON lines"
    )
    stored = parser.add_argument_group(
        "instead of FILE: recorded sessions of the database (closed loop)"
    )
    stored.add_argument("--source", metavar="NAME", help="the data set, e.g. tau-bench or live")
    stored.add_argument("--agent", metavar="NAME", help="only the agent with this role")
    stored.add_argument(
        "--sessions", metavar="N", type=positive, help="at most so many (default: all)"
    )
    stored.add_argument(
        "--sessions-at-once",
        metavar="N",
        type=positive,
        default=AT_ONCE,
        help=f"sessions that run beside each other (default: {AT_ONCE})",
    )
    stored.add_argument(
        "--tool-time",
        metavar="SHARE",
        type=_wait_share,
        default=1.0,
        help="share of the recorded waits between calls that is kept (default: 1)",
    )
    parser.add_argument(
        "--acceptance-length",
        metavar="TOKENS",
        type=float,
        help="with --set speculative-config=…: tokens per step with a draft, assumed where there "
        "is no text to compute it on",
    )


def read(arguments: argparse.Namespace, engine: Deployment) -> Workload:
    """Read what is to be served.

    Raises UsageError where neither or both are named, and where speculation has nothing to stand
    on.
    """
    if (arguments.file is None) == (arguments.source is None):
        raise UsageError("name what is served: a FILE, or recorded sessions with --source NAME")
    length = arguments.acceptance_length
    if length is not None:
        if engine.speculation is None:
            raise UsageError(
                "--acceptance-length is for speculation: name it, as in  --set "
                '\'speculative-config={"method": "ngram", "num_speculative_tokens": 4}\''
            )
        refuse_impossible(length, engine.speculation)
    if arguments.file is not None:
        return _of_file(arguments, engine, length)
    return _of_store(arguments, engine, length)


def _of_file(arguments: argparse.Namespace, engine: Deployment, length: float | None) -> Workload:
    if engine.config.engine == "SGLang":
        requests = workload.read_exact(arguments.file)
    else:
        requests = workload.read(arguments.file, engine.config.block_size)
    said = None
    if engine.speculation is not None:
        if length is None:
            raise UsageError(f"`{arguments.file}` {stored_workload.NO_TEXT}")
        tokens = engine.speculation.tokens
        requests = [
            replace(one, drafts=assumed_drafts(one.output_tokens, tokens, length))
            for one in requests
        ]
        said = {"config": engine.speculation.name, "basis": stored_workload.assumption(length)}
    return Workload(lambda layout: layout.serve(requests, engine), requests, None, said)


def _of_store(arguments: argparse.Namespace, engine: Deployment, length: float | None) -> Workload:
    if arguments.sweep:
        raise UsageError("a sweep sends a stream faster and slower: it needs a FILE with arrivals")
    said = None
    with open_database.opened(arguments.db) as store:
        found = stored_workload.load(
            store,
            SessionChoice(source=arguments.source, limit=arguments.sessions, keep_duplicates=True),
            agent=arguments.agent,
            block_tokens=engine.config.block_size,
            tool_time=arguments.tool_time,
        )
        if engine.speculation is not None:
            if length is None:
                scope = Scope(source=arguments.source, agent=arguments.agent)
                drafted = stored_workload.computed(store, scope, found.call_ids, engine.speculation)
            else:
                drafted = stored_workload.assumed(found, engine.speculation, length)
            if drafted.calls_without_text:
                say(f"note: {drafted.calls_without_text:,} calls have no text and draft nothing")
            found = stored_workload.with_drafts(found, drafted)
            said = {"config": drafted.config.name, "basis": drafted.basis}
    if found.calls_without_prompt:
        say(f"note: {found.calls_without_prompt:,} calls without a prompt are left out")
    calls = [call.request for session in found.sessions for call in session]
    refuse_oversized(calls, engine.config, engine.blocks)

    def serve(layout: Layout) -> Outcome:
        fleet = layout.fleet(engine)
        served = serve_graphs(found.sessions, fleet, at_once=arguments.sessions_at_once)
        return sum_up(served, fleet.engines)

    return Workload(serve, None, found.call_ids, said)


def _wait_share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < float("inf"):
        raise argparse.ArgumentTypeError(f"`{text}` is not a number from 0")
    return share
