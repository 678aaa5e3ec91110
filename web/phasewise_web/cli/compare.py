"""Print the verdict of a replay run: paired differences with intervals, A/A control, fidelity.

RUN is the id of a run, or `latest`. Exits with 1 when a call, an arm or a fidelity check failed:
the run then proves nothing. Also when an arm failed the quality gate.
"""

import argparse

from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.verdict import ArmSummary, Effect, Failures, Metric, Verdict
from phasewise_reports.words import short

from phasewise_web.cli.engine_time_tables import print_times
from phasewise_web.cli.forecast_table import print_forecasts
from phasewise_web.cli.open_database import opened
from phasewise_web.cli.output import print_json, stdout, table
from phasewise_web.cli.quality_table import print_quality
from phasewise_web.cli.selection_note import print_selections
from phasewise_web.cli.service_tables import print_service
from phasewise_web.cli.settings_table import print_settings

NAME = "compare"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run and --json."""
    parser.add_argument("run", metavar="RUN", help="id of a run, or latest")
    parser.add_argument(
        "--gpu-usd-hour",
        type=price,
        metavar="USD",
        help="what one GPU costs per hour (default: the published price of the GPU)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def price(text: str) -> float:
    """Read a price per hour; raises ArgumentTypeError when it is not above zero."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"`{text}` is not a price in dollars above 0")
    return found


def run(arguments: argparse.Namespace) -> int:
    """Compare the arms of the run and print the verdict."""
    with opened(arguments.db) as store:
        verdict = compare(store, arguments.run, gpu_usd_hour=arguments.gpu_usd_hour)
    if arguments.json:
        print_json(verdict)
    else:
        print_verdict(verdict)
    return exit_code(verdict)


def exit_code(verdict: Verdict) -> int:
    """Return 1 when the run is void, or when calls, an arm or a quality gate of it failed."""
    states = {arm.status for arm in verdict.arms}
    failed = "failed" in states or verdict.failures.calls > 0
    failed = failed or any(one.passed is False for one in verdict.quality)
    return 0 if verdict.fidelity.passed and "ok" in states and not failed else 1


def print_verdict(verdict: Verdict) -> None:
    """Print the headline, the arms, the differences, the control and the fidelity."""
    stdout.print(
        f"{verdict.run_id}: {verdict.sessions} sessions, {verdict.calls} calls per block",
        highlight=False,
    )
    print_selections(verdict.selections)
    stdout.print(verdict.headline, highlight=False, markup=False, soft_wrap=True)
    table(
        "",
        (("arm", False), ("engine", False), ("calls", True), ("cached %", True), ("status", False)),
        [_arm(arm) for arm in verdict.arms],
    )
    for words, names in _step_times(verdict).items():
        stdout.print(
            f"  step times of {', '.join(names)}: {words}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    for arm in verdict.arms:
        for note in arm.notes:
            text = f"  {arm.name}: {note}"
            stdout.print(text, highlight=False, markup=False, soft_wrap=True)
    columns = (
        ("measure", False),
        ("baseline", True),
        ("arm", True),
        ("difference", True),
        ("95 % CI", True),
        ("detectable", True),
        ("p, adjusted", True),
        ("verdict", False),
    )
    for arm in verdict.arms[1:]:
        own = [metric for metric in verdict.metrics if metric.compared == arm.name]
        if own:
            table(f"{arm.name}, per session", columns, list(map(_metric, own)))
    if verdict.effects:
        effect_columns = (
            *(("measure", False), ("changes", False), ("ratio", True), ("95 % CI", True)),
            *(("p, adjusted", True), ("verdict", False)),
        )
        table("main effects and interactions", effect_columns, list(map(_effect, verdict.effects)))
    if verdict.control.metrics:
        table(
            "A/A control: the baseline against itself",
            columns,
            list(map(_metric, verdict.control.metrics[:3])),
        )
    print_forecasts(verdict.forecasts)
    print_quality(verdict.quality)
    print_service(verdict.service)
    print_times(verdict)
    print_settings(verdict.side_by_side)
    _print_failures(verdict.failures)
    bad = [check for check in verdict.fidelity.checks if not check.passed]
    state = "passed" if not bad else "FAILED, so the run is void"
    stdout.print(f"fidelity: {state} ({len(verdict.fidelity.checks)} checks)", highlight=False)
    for check in bad:
        stdout.print(
            f"  {check.title}: {check.value if check.value is not None else ''} "
            f"(required: {check.limit}) {check.detail}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _print_failures(failed: Failures) -> None:
    """Print how many calls failed and the servers' error messages; nothing when none failed."""
    if not failed.calls:
        return
    stdout.print(f"{failed.calls:,} of {failed.of:,} calls failed:", highlight=False)
    for reason in failed.reasons:
        stdout.print(f"  {reason}", highlight=False, markup=False, soft_wrap=True)


def _arm(arm: ArmSummary) -> list[str]:
    rate = "-" if arm.hit_rate is None else f"{100 * arm.hit_rate:.1f}"
    state = arm.status if arm.reason is None else f"{arm.status.upper()}: {arm.reason}"
    basis = f"{arm.engine} ({arm.basis})" if arm.basis else arm.engine
    return [arm.name, basis, f"{arm.calls:,}", rate, state]


def _step_times(verdict: Verdict) -> dict[str, list[str]]:
    """Return the simulated arms by where their step times come from."""
    found: dict[str, list[str]] = {}
    for arm in verdict.arms:
        if arm.step_times is not None:
            found.setdefault(arm.step_times.in_words, []).append(arm.name)
    return found


def _effect(effect: Effect) -> list[str]:
    interval = "-" if effect.ci95 is None else " to ".join(map(short, effect.ci95))
    ratio, p_value = short(effect.ratio), short(effect.adjusted_p)
    changes = " with ".join(effect.factors)
    return [effect.title, changes, ratio, interval, p_value, effect.verdict]


def _metric(metric: Metric) -> list[str]:
    interval = "-"
    if metric.ci95 is not None:
        interval = f"{metric.ci95[0]:+.4g} to {metric.ci95[1]:+.4g}"
    return [
        f"{metric.title}, {metric.unit}",
        f"{metric.baseline:.4g}",
        f"{metric.arm:.4g}",
        f"{metric.difference:+.4g}",
        interval,
        short(metric.minimum_detectable_effect),
        short(metric.adjusted_p),
        metric.verdict,
    ]
