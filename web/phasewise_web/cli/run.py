"""Run a Python program with the tracer on, without changing its code.

For example:  phasewise run -- python agent.py
"""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

import phasewise
from phasewise_store.errors import UsageError

NAME = "run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --endpoint and the program."""
    parser.add_argument(
        "--endpoint", metavar="URL", help="the collector (default: PHASEWISE_ENDPOINT, or here)"
    )
    parser.add_argument(
        "program", nargs=argparse.REMAINDER, metavar="-- CMD…", help="the program's command line"
    )


def run(arguments: argparse.Namespace) -> NoReturn:
    """Become the program: its signals and exit code are its own."""
    words = list(arguments.program)
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        raise UsageError("name the program to run:  phasewise run -- python agent.py")
    environment = dict(os.environ)
    here = str(Path(phasewise.__file__).parent / "autoload")
    parts = [here, environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(part for part in parts if part)
    if arguments.endpoint is not None:
        environment["PHASEWISE_ENDPOINT"] = arguments.endpoint
    sys.stdout.flush()
    try:
        os.execvpe(words[0], words, environment)  # noqa: S606  # that is what the command is for
    except OSError as error:
        raise UsageError(f"cannot run `{words[0]}`: {error.strerror}") from None
