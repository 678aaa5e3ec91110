"""The arguments that select the calls a command works on."""

import argparse

from phasewise_store.scope import EVERYTHING, Scope

from phasewise_web.cli.messages import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --source, --session, --agent, --model, --user, --customer, --version, --tag, --json."""
    parser.add_argument(
        "--source", metavar="NAME", help="only this data set, e.g. mooncake or live"
    )
    parser.add_argument("--session", metavar="ID", help="only this session")
    parser.add_argument("--agent", metavar="NAME", help="only the agent with this role")
    parser.add_argument("--model", metavar="NAME", help="only this model, as the calls name it")
    parser.add_argument("--user", metavar="ID", help="only calls made for this user")
    parser.add_argument("--customer", metavar="ID", help="only calls made for this customer")
    parser.add_argument("--version", metavar="NAME", help="only this version of the agent program")
    parser.add_argument("--tag", metavar="NAME", help="only calls with this tag")
    parser.add_argument("--json", action="store_true", help="print JSON")


def positive(text: str) -> int:
    """Read --limit: a whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a whole number above 0")
    return int(text)


def say_nothing_found(scope: Scope) -> None:
    """Print why a list is empty, and what to do about it."""
    if scope == EVERYTHING:
        say("no calls yet.  Add some with  phasewise import PATH  or  phasewise up")
    else:
        say("no calls match these filters; `phasewise agents` without them lists all agents")


def scope(arguments: argparse.Namespace) -> Scope:
    """Return what was asked for."""
    return Scope(
        source=arguments.source,
        session_id=arguments.session,
        agent=arguments.agent,
        model=arguments.model,
        user=arguments.user,
        customer=arguments.customer,
        version=arguments.version,
        tag=arguments.tag,
    )
