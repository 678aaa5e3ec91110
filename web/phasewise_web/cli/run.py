"""Run a Python program with the tracer on, without changing its code.

For example:  phasewise run -- python agent.py
The program may run in another environment, which does not need phasewise installed.
"""

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import NoReturn

import phasewise
from phasewise.autoload import sitecustomize
from phasewise_store.errors import UsageError

NAME = "run"
_CARRIED = ("phasewise", "opentelemetry.sdk", "google.protobuf", "wrapt", "typing_extensions")
"""packages that a Python without phasewise needs, taken from this installation"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --endpoint and the program."""
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="the collector (default: PHASEWISE_ENDPOINT, or this machine)",
    )
    parser.add_argument(
        "program", nargs=argparse.REMAINDER, metavar="-- CMD…", help="the program's command line"
    )


def run(arguments: argparse.Namespace) -> NoReturn:
    """Replace this process by the program, which keeps its own signals and exit code."""
    words = list(arguments.program)
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        raise UsageError("name the program to run:  phasewise run -- python agent.py")
    environment = dict(os.environ)
    here = str(Path(phasewise.__file__).parent / "autoload")
    parts = [here, environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(part for part in parts if part)
    environment[sitecustomize.FOLDERS] = os.pathsep.join(_folders())
    environment[sitecustomize.STARTED_BY] = str(os.getpid())
    if arguments.endpoint is not None:
        environment["PHASEWISE_ENDPOINT"] = arguments.endpoint
    sys.stdout.flush()
    try:
        os.execvpe(words[0], words, environment)  # noqa: S606  # that is what the command is for
    except OSError as error:
        raise UsageError(f"cannot run `{words[0]}`: {error.strerror}") from None


def _folders() -> list[str]:
    """Return the folders on the path that hold the tracer and what it needs."""
    found: dict[str, None] = {}
    for name in _CARRIED:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            depth = name.count(".") + (spec.submodule_search_locations is not None)
            found[str(Path(spec.origin).parents[depth])] = None
    return list(found)
