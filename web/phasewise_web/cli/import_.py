"""Import trace files of other tools; the format is detected from a file's content.

Prints what was imported and what was skipped. A bad line does not stop an import: it is counted,
and --json lists it with its file, line and reason. Importing again adds only what is new: unchanged
files are skipped, and only the new calls of a session that has grown are added. --watch repeats
this until Ctrl-C. Exits with 1 when nothing was imported.
"""

import argparse
import time
from collections import Counter
from pathlib import Path

from phasewise_analyzer.analyse import analyse
from phasewise_collector.importers import detect
from phasewise_collector.importing import Imported, import_paths
from phasewise_store.errors import UsageError

from phasewise_web.cli.open_database import created
from phasewise_web.cli.output import print_json, progress, say, stdout

NAME = "import"

WATCH_S = 2.0
SHOWN = 10
"""skipped lines that are printed; --json lists all"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the paths, --format and --json."""
    parser.add_argument("path", type=Path, nargs="+", metavar="PATH", help="file or folder")
    parser.add_argument(
        "--format",
        metavar="F",
        help=f"file format, instead of detecting it: one of {', '.join(detect.IMPORTERS)}",
    )
    parser.add_argument(
        "--watch", action="store_true", help="import again every two seconds until Ctrl-C"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Import, analyse what is new, and print what was imported."""
    done = _import(arguments)
    _report(done, arguments)
    if arguments.watch:
        _watch(arguments)
    if done.read_nothing:
        say(f"nothing was imported from {', '.join(map(str, arguments.path))}")
        return 1
    return 0


def _import(arguments: argparse.Namespace) -> Imported:
    with created(arguments.db) as store:
        with progress("importing") as step:
            done = import_paths(store, arguments.path, format_name=arguments.format, step=step)
        with progress("analysing") as step:
            analyse(store, step=step)
    return done


def _watch(arguments: argparse.Namespace) -> None:
    """Import what changes until Ctrl-C; a file may disappear while it is being read.

    The database is opened again for each round, so that other commands can use it in between.
    """
    say("watching for changes; press Ctrl-C to stop")
    try:
        while True:
            time.sleep(WATCH_S)
            try:
                done = _import(arguments)
            except UsageError as error:
                say(str(error))
                continue
            if done.files:
                _report(done, arguments)
    except KeyboardInterrupt:
        say("stopped watching")


def _report(done: Imported, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print_json(done)
    else:
        _print(done)


def _print(done: Imported) -> None:
    there = f" ({done.already_there:,} unchanged)" if done.already_there else ""
    new = (
        f"{done.files:,} files read{there}: {done.sessions:,} sessions, "
        f"{done.llm_calls:,} LLM calls, {done.tool_calls:,} tool calls added"
    )
    grew = f"{done.grown_sessions:,} sessions have grown" if done.grown_sessions else ""
    known = f"{done.known_calls:,} calls already stored" if done.known_calls else ""
    more = f"{done.completed_calls:,} of them completed" if done.completed_calls else ""
    stdout.print("; ".join(filter(None, (new, grew, known, more))), highlight=False)
    for remark in done.notes:
        say(f"note: {remark.file}: {remark.text}")
    files = [left for left in done.skipped if left.line is None]
    lines = [left for left in done.skipped if left.line is not None]
    if lines:
        stdout.print(f"{len(lines):,} records skipped:", highlight=False)
        for left in lines[:SHOWN]:
            stdout.print(f"  {left.file}:{left.line}: {left.reason}", highlight=False, markup=False)
        if len(lines) > SHOWN:
            stdout.print(f"  and {len(lines) - SHOWN:,} more; --json lists them", highlight=False)
    for reason, number in Counter(left.reason for left in files).most_common():
        example = next(left.file for left in files if left.reason == reason)
        stdout.print(
            f"Skipped {number} files: {reason}; for example {example}",
            highlight=False,
            markup=False,
        )
