"""Replay the newest sessions and compare with the previous night; exits with 1 on a regression.

FILE is a YAML file with a plan, the paths to import first, and the gates. docs/nightly.md has an
example, with a cron line and a systemd timer.
"""

import argparse
from pathlib import Path

from phasewise_analyzer.analyse import analyse
from phasewise_collector.importing import import_paths
from phasewise_replay import nightly, nightly_file
from phasewise_replay.nightly import Night
from phasewise_replay.run import run as replay
from phasewise_reports import run_report
from phasewise_store.errors import UsageError

from phasewise_web.cli.compare import print_verdict
from phasewise_web.cli.open_database import created, opened
from phasewise_web.cli.output import print_json, progress, say, stdout

NAME = "nightly"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file and --json."""
    parser.add_argument("file", type=Path, metavar="FILE", help="YAML file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Import, replay, judge, report."""
    file = nightly_file.read(arguments.file)
    with (created if file.imports else opened)(arguments.db) as store:
        if file.imports:
            with progress("importing") as step:
                import_paths(store, file.imports, step=step)
        analyse(store)
        with progress(f"replaying {file.plan.name}") as step:
            run_id = replay(store, file.plan, step=step)
        night = nightly.judge(store, run_id, file.gates)
    if file.reports is not None:
        _write_report(file.reports, night)
    if arguments.json:
        print_json(night)
    else:
        _print(night)
    return 0 if night.passed else 1


def _write_report(folder: Path, night: Night) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{night.verdict.run_id}.html"
        path.write_text(run_report.render_html(night.verdict), "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write a report into `{folder}`: {error.strerror}") from None
    say(f"wrote {path}")


def _print(night: Night) -> None:
    print_verdict(night.verdict)
    if night.last_run_id is None:
        stdout.print(
            "this is the first run of this name: there is nothing to compare it with yet",
            highlight=False,
        )
        return
    stdout.print(f"compared with {night.last_run_id}:", highlight=False)
    for regression in night.regressions:
        metric = regression.metric
        stdout.print(
            f"  REGRESSION  {regression.arm}: {metric.title.lower()} {metric.baseline:.4g} to "
            f"{metric.arm:.4g} {metric.unit}, {regression.worse_percent:.1f} % "
            f"(allowed {regression.allowed_percent:g} %)",
            highlight=False,
            soft_wrap=True,
        )
    if not night.regressions:
        stdout.print("  no regression: every measure is within its gate", highlight=False)
