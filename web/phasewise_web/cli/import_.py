"""Read other tools' trace files; the format is told by a file's content.

Prints what was read and what could not be. A bad line never stops an import: it is counted, and
--json lists it with file, line and reason. The same file twice adds nothing. Exits 1 where nothing
was read.
"""

import argparse
from collections import Counter
from pathlib import Path

from phasewise_analyzer.analyse import analyse
from phasewise_collector.importers import detect
from phasewise_collector.importing import Imported, import_paths

from phasewise_web.cli.opening import opened
from phasewise_web.cli.output import print_json, progress, say, stdout

NAME = "import"

SHOWN = 10
"""skipped lines that are printed; --json lists all"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the paths, --format and --json."""
    parser.add_argument("path", type=Path, nargs="+", metavar="PATH", help="file or folder")
    parser.add_argument(
        "--format",
        metavar="F",
        help=f"do not detect; one of {', '.join(detect.IMPORTERS)}",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Import, analyse what is new, and say what was read."""
    with opened(arguments.db) as store:
        with progress("importing") as step:
            done = import_paths(store, arguments.path, format_name=arguments.format, step=step)
        with progress("analysing") as step:
            analyse(store, step=step)
    if arguments.json:
        print_json(done)
    else:
        _print(done)
    if done.read_nothing:
        say(f"no call and no record was read from {', '.join(map(str, arguments.path))}")
        return 1
    return 0


def _print(done: Imported) -> None:
    there = f", {done.already_there} already there" if done.already_there else ""
    stdout.print(
        f"{done.files:,} files{there}, {done.sessions:,} sessions, {done.llm_calls:,} LLM calls, "
        f"{done.tool_calls:,} tool calls read",
        highlight=False,
    )
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
            f"{number} files left out ({reason}), such as {example}", highlight=False, markup=False
        )
