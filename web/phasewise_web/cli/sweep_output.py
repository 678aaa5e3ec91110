"""Prints what a sweep of `phasewise simulate` found."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from phasewise_analyzer.engine.deployments.deployment import Deployment
from phasewise_analyzer.engine.outcomes.summary import Spread
from phasewise_analyzer.engine.outcomes.sweep import Frontier, Point
from phasewise_analyzer.engine.runs.layout import Layout

from phasewise_web.cli.output import print_json, say, table

COLUMNS = (
    *("requests/s", "output tokens/s", "TTFT p50 s", "TTFT p99 s", "TPOT p50 s", "TPOT p99 s"),
    *("meet the SLO", "goodput requests/s"),
)


def show(
    frontiers: Sequence[Frontier],
    engine: Deployment,
    layout: Layout,
    arguments: argparse.Namespace,
) -> None:
    """Print the frontier and the largest load that meets the SLO.

    The second frontier, if there is one, is of as many aggregated engines: its largest load is
    printed beside the first.
    """
    basis, first, others = engine.times.basis, frontiers[0], frontiers[1:]
    if arguments.json:
        answer = {
            "points": [asdict(point) for point in first.points],
            "largest": first.largest and asdict(first.largest),
            "step_times": asdict(basis),
        }
        for other in others:
            answer["aggregated_largest"] = other.largest and asdict(other.largest)
        print_json(answer)
        return
    table(
        f"Loads of {layout.name(engine)} (simulated)",
        [(name, True) for name in COLUMNS],
        [_row(point) for point in first.points],
    )
    say(_largest(first, arguments))
    for other in others:
        say(f"{layout.aggregated.name(engine)} instead: {_largest(other, arguments)}")
    say(f"step times: {basis.in_words}")


def _largest(frontier: Frontier, arguments: argparse.Namespace) -> str:
    if frontier.largest is None:
        return f"no load meets the SLO ({arguments.slo}) for {arguments.attainment:.0%} of requests"
    return (
        f"largest load at which {arguments.attainment:.0%} of requests meet the SLO "
        f"({arguments.slo}): {frontier.largest.rate:.2f} requests/s"
    )


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
