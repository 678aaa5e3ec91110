"""`phasewise COMMAND`: finds the command's module, parses, runs, turns errors into exit codes.

Exit codes: 0 good, 1 the answer is "no" or a gate failed, 2 misuse, 130 interrupted.
"""

import argparse
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from phasewise_store.errors import PhasewiseError

from phasewise_web.cli.output import say

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
    "compare",
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    parser = make_parser(only=next(iter(words), None))
    arguments = parser.parse_args(words)
    if arguments.command is None:
        parser.print_help()
        return 2
    command: Command = arguments.module
    try:
        return command.run(arguments)
    except PhasewiseError as error:
        say(f"phasewise {command.NAME}: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say(f"phasewise {command.NAME}: interrupted")
        return 130
    except BrokenPipeError:
        # the reader of a pipe (head, less) went away; Python's own flush at exit must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of all commands; `docs/cli.md` is printed from it.

    With `only` the name of a command, no other is imported: that is what starting up costs.
    """
    parser = argparse.ArgumentParser(
        prog="phasewise",
        description=importlib.metadata.metadata("phasewise")["Summary"],
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"phasewise {importlib.metadata.version('phasewise')}",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    wanted = [name for name in COMMANDS if name.rstrip("_") == only] or list(COMMANDS)
    for name in wanted:
        if importlib.util.find_spec(f"phasewise_web.cli.{name}") is None:
            continue
        module = cast("Command", importlib.import_module(f"phasewise_web.cli.{name}"))
        summary, _, rest = module.__doc__.partition("\n")
        sub = subparsers.add_parser(
            module.NAME,
            help=summary,
            description=f"{summary}\n{rest}".strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.add_argument(
            "--db",
            type=Path,
            default=Path(os.environ.get("PHASEWISE_DB", DEFAULT_DB)),
            metavar="PATH",
            help=f"the database file (default: PHASEWISE_DB, or {DEFAULT_DB} in this folder)",
        )
        module.add_arguments(sub)
        sub.set_defaults(module=module)
    return parser


if __name__ == "__main__":
    sys.exit(main())
