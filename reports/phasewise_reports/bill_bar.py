"""Geometry of one bar that shows the whole bill by reason; templates draw it.  Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from phasewise_analyzer.ledger.facts import Line

from phasewise_reports.ledger_words import Tone, words
from phasewise_reports.words import percent, tokens, usd

FEWEST_LABELLED = 0.05
"""share of the bar below which a stretch has no label"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One reason's part of the bar."""

    reason: str
    tone: Tone
    share: float
    """of the bill in [0, 1]; of the tokens where no price is known"""
    label: str
    """empty where there is no room"""
    title: str


def bill_bar(lines: Sequence[Line]) -> tuple[Stretch, ...]:
    """Give every line's stretch, in their order; shares have a sum of one, or nothing is there."""
    weigh = measure(lines)
    whole = sum(weigh(line) for line in lines)
    return tuple(_stretch(line, weigh(line) / whole if whole else 0.0) for line in lines)


def measure(lines: Sequence[Line]) -> Callable[[Line], float]:
    """Return what a line weighs: dollars, or tokens where nothing has a price."""
    if any(line.usd for line in lines):
        return lambda line: float(line.usd or 0)
    return lambda line: float(line.tokens)


def _stretch(line: Line, share: float) -> Stretch:
    said = words(line.reason)
    money = "" if line.usd is None else f", {usd(line.usd)} $"
    return Stretch(
        reason=line.reason,
        tone=said.tone,
        share=share,
        label=f"{said.title} {percent(share)} %" if share >= FEWEST_LABELLED else "",
        title=f"{said.title}: {tokens(line.tokens)} tokens{money}, {percent(share)} %",
    )
