"""Prints what a sweep of `phasewise simulate` found."""

import argparse
from dataclasses import asdict

from phasewise_analyzer.engine.deployment import Deployment
from phasewise_analyzer.engine.summary import Spread
from phasewise_analyzer.engine.sweep import Frontier, Point

from phasewise_web.cli.output import print_json, say, table

COLUMNS = (
    *("requests/s", "output tokens/s", "TTFT p50 s", "TTFT p99 s", "TPOT p50 s", "TPOT p99 s"),
    *("meet the SLO", "goodput requests/s"),
)


def show(frontier: Frontier, engine: Deployment, arguments: argparse.Namespace) -> None:
    """Print the frontier and the largest load that meets the SLO."""
    basis = engine.times.basis
    if arguments.json:
        print_json(
            {
                "points": [asdict(point) for point in frontier.points],
                "largest": frontier.largest and asdict(frontier.largest),
                "step_times": asdict(basis),
            }
        )
        return
    table(
        f"Loads of {arguments.replicas} x {engine.name} (simulated)",
        [(name, True) for name in COLUMNS],
        [_row(point) for point in frontier.points],
    )
    if frontier.largest is None:
        say(f"no load meets the SLO ({arguments.slo}) for {arguments.attainment:.0%} of requests")
    else:
        say(
            f"largest load at which {arguments.attainment:.0%} of requests meet the SLO "
            f"({arguments.slo}): {frontier.largest.rate:.2f} requests/s"
        )
    say(f"step times: {basis.in_words}")


def _row(point: Point) -> tuple[str, ...]:
    summary = point.summary
    return (
        f"{point.rate:.2f}",
        f"{summary.output_tokens_s:,.0f}",
        *_seconds(summary.ttft_s, 3),
        *_seconds(summary.tpot_s, 4),
        f"{point.attainment:.1%}",
        f"{point.goodput:.2f}",
    )


def _seconds(spread: Spread | None, digits: int) -> tuple[str, str]:
    if spread is None:
        return "-", "-"
    return f"{spread.p50:,.{digits}f}", f"{spread.p99:,.{digits}f}"
