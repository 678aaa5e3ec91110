"""The arguments that say what part of the store a command is about."""

import argparse

from phasewise_store.scope import EVERYTHING, Scope

from phasewise_web.cli.messages import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --source, --session, --agent, --model, --user, --customer, --version, --tag, --json."""
    parser.add_argument("--source", metavar="NAME", help="data set, e.g. mooncake or live")
    parser.add_argument("--session", metavar="ID", help="one session")
    parser.add_argument("--agent", metavar="NAME", help="role of an agent")
    parser.add_argument("--model", metavar="NAME", help="as the calls name it")
    parser.add_argument("--user", metavar="ID", help="user that the calls were made for")
    parser.add_argument("--customer", metavar="ID", help="customer that the calls were made for")
    parser.add_argument("--version", metavar="NAME", help="version of the agent program")
    parser.add_argument("--tag", metavar="NAME", help="one tag of the calls")
    parser.add_argument("--json", action="store_true", help="print JSON")


def positive(text: str) -> int:
    """Read --limit: a whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is no whole number above zero")
    return int(text)


def say_nothing_found(scope: Scope) -> None:
    """Say why a list is empty, and what to do about it."""
    if scope == EVERYTHING:
        say("no calls here yet; read some with  phasewise import PATH  or  phasewise up")
    else:
        say("no calls match these filters; `phasewise agents` without any shows what there is")


def scope(arguments: argparse.Namespace) -> Scope:
    """Give what was asked for."""
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
