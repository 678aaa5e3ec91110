"""Replay the newest sessions and compare with the previous night; exits with 1 on a regression.

FILE is a YAML file with a plan, the paths to import first, and the gates. docs/nightly.md has an
example, and how to run it with systemd, cron, GitHub Actions and Kubernetes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from phasewise_analyzer.analyse import analyse
from phasewise_collector.importing import import_paths
from phasewise_replay.nights import night_record, nightly, nightly_file
from phasewise_replay.nights.nightly import Night
from phasewise_reports import night_report, run_report
from phasewise_reports.json_form import to_json
from phasewise_store.errors import UsageError

from phasewise_web.cli import replaying
from phasewise_web.cli.compare import print_verdict
from phasewise_web.cli.open_database import created, opened
from phasewise_web.cli.output import print_json, progress, say, stdout

NAME = "nightly"

HTML, JSON, JUNIT = ".html", ".json", ".junit.xml"
"""endings of a night's reports"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file and --json."""
    parser.add_argument("file", type=Path, metavar="FILE", help="YAML file")
    replaying.add_arguments(
        parser, resume="continue last time's run if it was cut, every call counted once"
    )
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
            run_id = replaying.replay(store, file.plan, arguments, step)
        night = nightly.judge(store, run_id, file.gates)
        night_record.record(store, night, file.gates)
        old: list[str] = []
        if file.keep_nights is not None:
            old = night_record.forget_old(store, file.plan.name, file.keep_nights)
    if old:
        say(f"removed the calls of {len(old)} old {'night' if len(old) == 1 else 'nights'}")
    if file.reports is not None:
        _write_reports(file.reports, night)
        _remove_reports(file.reports, old)
    if arguments.json:
        print_json(night)
    else:
        _print(night)
    return 0 if night.passed else 1


def _write_reports(folder: Path, night: Night) -> None:
    """Write the night under the run's name, and the metrics under the same name every night."""
    run_id = night.verdict.run_id
    files = {
        f"{run_id}{HTML}": run_report.render_html(night.verdict),
        f"{run_id}{JSON}": to_json(night, sort_keys=True) + "\n",
        f"{run_id}{JUNIT}": night_report.render_junit(night),
        "phasewise.prom": night_report.render_prometheus(night),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            whole = folder / f".{name}.part"  # a collector must not read half a file
            whole.write_text(text, "utf-8")
            whole.replace(folder / name)
    except OSError as error:
        raise UsageError(f"cannot write a report into `{folder}`: {error.strerror}") from None
    say(f"wrote {', '.join(files)} in {folder}")


def _remove_reports(folder: Path, run_ids: Sequence[str]) -> None:
    """Remove the reports of old nights."""
    try:
        for run_id in run_ids:
            for ending in (HTML, JSON, JUNIT):
                (folder / f"{run_id}{ending}").unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot remove a report from `{folder}`: {error.strerror}") from None


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
