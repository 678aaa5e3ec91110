"""Print `docs/cli.md` from the commands' own help: `python -m phasewise_web.cli.reference`."""

import argparse
import sys
from collections.abc import Iterator

from phasewise_web.cli.main import make_parser

HEAD = """\
# Command line

Generated from the help of the commands by `python -m phasewise_web.cli.reference > docs/cli.md`; a
test keeps it up to date. Results go to stdout, messages and progress to stderr. Exit codes:
0 success, 1 the answer is "no" or a check failed, 2 usage error, 130 interrupted.
"""


def markdown() -> str:
    """Return the whole page; the text is the same with every version of argparse."""
    return "\n".join([HEAD, *(_section(parser) for parser in _commands(make_parser()))])


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:  # argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):  # as above
            for command in action.choices.values():
                yield command
                yield from _commands(command)  # the steps of a command that has steps


def _section(parser: argparse.ArgumentParser) -> str:
    summary, _, rest = (parser.description or "").partition("\n")
    lines = [f"## {parser.prog}", "", summary.strip(), ""]
    if rest.strip():
        lines += ["```", *rest.strip("\n").splitlines(), "```", ""]
    lines += ["| argument | meaning |", "|---|---|"]
    lines += [
        f"| {_name(action)} | {_help(action)} |"
        for action in parser._actions  # argparse has no public way to list them
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)  # as above
    ]
    return "\n".join(lines) + "\n"


def _name(action: argparse.Action) -> str:
    value = action.metavar or (
        "\\|".join(map(str, action.choices)) if action.choices else action.dest.upper()
    )
    if not action.option_strings:
        return f"`{action.dest if action.metavar is None else action.metavar}`"
    takes = "" if action.nargs == 0 else f" {value}"
    return ", ".join(f"`{option}{takes}`" for option in action.option_strings)


def _help(action: argparse.Action) -> str:
    return ((action.help or "") % {"default": action.default}).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(markdown())
