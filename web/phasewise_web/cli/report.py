"""Write the report of a replay run as self-contained HTML, Markdown or JSON.

For example:  phasewise report run latest -o report.html
"""

import argparse
import sys
from pathlib import Path

from phasewise_replay.verdicts.compare import compare
from phasewise_reports import run_report
from phasewise_store.errors import UsageError

from phasewise_web.cli.open_database import opened
from phasewise_web.cli.output import say

NAME = "report"

RENDERERS = {
    ".html": run_report.render_html,
    ".md": run_report.render_markdown,
    ".json": run_report.render_json,
}
STDOUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what, which and where to."""
    parser.add_argument("what", choices=["run"], help="what to report")
    parser.add_argument("id", metavar="ID", help="id of the run, or latest")
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        default=STDOUT,
        help="file that ends in .html, .md or .json; `-` prints Markdown (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare the arms of the run and write the report."""
    ending = ".md" if arguments.out == STDOUT else Path(arguments.out).suffix.lower()
    if ending not in RENDERERS:
        raise UsageError(f"`{arguments.out}` must end in {', '.join(RENDERERS)}")
    with opened(arguments.db) as store:
        text = RENDERERS[ending](compare(store, arguments.id))
    if arguments.out == STDOUT:
        sys.stdout.write(text)
        return 0
    try:
        Path(arguments.out).write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write `{arguments.out}`: {error.strerror}") from None
    say(f"wrote {arguments.out} ({len(text.encode()) / 1000:,.0f} kB)")
    return 0
