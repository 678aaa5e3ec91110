"""`phasewise COMMAND`: finds the command's module, parses, runs, turns errors into exit codes.

It imports only what the base install has, so that it can print how to install the rest.
Exit codes: 0 good, 1 the answer is "no" or a gate failed, 2 misuse, 130 interrupted.
"""

import argparse
import ast
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from phasewise_store.causes import disk_was_full, was_interrupted
from phasewise_store.errors import MissingExtraError, PhasewiseError

from phasewise_web.cli.messages import say

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

COMMANDS = (
    "up",
    "demo",
    "run",
    "env",
    "import_",
    "agents",
    "sessions",
    "calls",
    "show",
    "prefixes",
    "whatif",
    "breaks",
    "ledger",
    "check",
    "tokenizer",
    "sql",
    "replay",
    "presets",
    "simulate",
    "speculation",
    "calibrate",
    "compare",
    "gpu",
    "nightly",
    "report",
    "web",
    "doctor",
)
"""modules of this package, in the order of the help"""

DEFAULT_DB = "phasewise.duckdb"


class Command(Protocol):
    """What a command's module holds; its docstring is the help."""

    NAME: str
    __doc__: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own arguments."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Do the work and give the exit code."""
        ...


DISK_FULL = (
    "the disk is full. What was finished before is kept: free some space, then run the command "
    "again"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    name = next((one for one in COMMANDS if words and _spelled(one) == words[0]), None)
    if name is None:
        make_overview().parse_args(words)  # ends here for --help, --version and unknown commands
        make_overview().print_help()
        return 2
    try:
        return _run(name, words)
    except BaseException as error:
        if was_interrupted(error):
            say(f"phasewise {_spelled(name)}: interrupted")
            return 130
        if disk_was_full(error):
            say(f"phasewise {_spelled(name)}: {DISK_FULL}")
            return 1
        if isinstance(error, PhasewiseError):
            say(f"phasewise {_spelled(name)}: {error}")
            return error.exit_code
        if isinstance(error, BrokenPipeError):
            # the reader of a pipe (head, less) went away; Python's own flush at exit must not
            # complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        raise


def _run(name: str, words: Sequence[str]) -> int:
    arguments = make_parser(name).parse_args(words)
    command: Command = arguments.module
    return command.run(arguments)


def make_parser(*names: str) -> argparse.ArgumentParser:
    """Build the parser of these commands, by default of all; `docs/cli.md` is printed from it.

    No other command's module is imported: that is what starting up costs.
    """
    parser, subparsers = _empty_parser()
    for name in names or COMMANDS:
        module = _import(name)
        summary, _, rest = module.__doc__.partition("\n")
        sub = subparsers.add_parser(
            module.NAME,
            help=summary,
            description=f"{summary}\n{rest}".strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        usual = Path(os.environ.get("PHASEWISE_DB", DEFAULT_DB))
        database = sub.add_argument(
            "--db",
            type=Path,
            default=usual,
            metavar="PATH",
            help=f"the database file (default: PHASEWISE_DB, or {DEFAULT_DB} in this folder)",
        )
        module.add_arguments(sub)
        if database.default != usual:  # a command may have a database of its own
            database.help = f"the database file (default: {database.default})"
        sub.set_defaults(module=module)
    return parser


def make_overview() -> argparse.ArgumentParser:
    """Build a parser that knows each command's name and summary; it imports no command."""
    parser, subparsers = _empty_parser()
    for name in COMMANDS:
        subparsers.add_parser(_spelled(name), help=_summary(name))
    return parser


def _empty_parser() -> "tuple[argparse.ArgumentParser, Subparsers]":
    parser = argparse.ArgumentParser(
        prog="phasewise",
        description=importlib.metadata.metadata("phasewise")["Summary"],
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"phasewise {importlib.metadata.version('phasewise')}",
    )
    return parser, parser.add_subparsers(dest="command", metavar="COMMAND")


def _spelled(name: str) -> str:
    """Return a command's name; `import` is a word of Python's, so its module is `import_`."""
    return name.rstrip("_")


def _summary(name: str) -> str:
    """Read the first line of a module's docstring without running the module."""
    source = resources.files("phasewise_web.cli").joinpath(f"{name}.py").read_text("utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def _import(name: str) -> Command:
    try:
        return cast("Command", importlib.import_module(f"phasewise_web.cli.{name}"))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("phasewise"):
            raise
        raise MissingExtraError(
            f"this command needs `{error.name}`, which is not installed.  Install it with:  "
            "pip install 'phasewise[server]'"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
