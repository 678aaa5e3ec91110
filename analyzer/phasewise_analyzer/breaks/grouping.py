"""Group the breaks that one line of code causes: same agent, place and cause."""

import re
from collections.abc import Sequence
from decimal import Decimal

from phasewise_analyzer.breaks.facts import Break, Finding

DAY_S = 86_400.0
MONTH_S = 30 * DAY_S
TEMPLATE_MESSAGES = 2
"""the first messages of a prompt are as fixed as its system prompt"""
_MESSAGE = re.compile(r"messages\[(\d+)\]")


def findings(breaks: Sequence[Break], span_s: float | None) -> tuple[Finding, ...]:
    """Return one finding a place, dearest first; `span_s` is the time that the trace spans."""
    groups: dict[tuple[str, str, str, str], list[Break]] = {}
    for one in breaks:
        groups.setdefault((one.agent, one.tier, of_template(one.place), one.cause.name), []).append(
            one
        )
    found = [_finding(group, span_s) for group in groups.values()]
    return tuple(sorted(found, key=_weight, reverse=True))


def _finding(group: Sequence[Break], span_s: float | None) -> Finding:
    priced = [one.lost_usd for one in group if one.lost_usd is not None]
    usd = sum(priced, Decimal(0)) if priced else None
    dearest = max(group, key=lambda one: (one.lost_usd or 0, one.lost_tokens))
    return Finding(
        agent=dearest.agent,
        cause=dearest.cause,
        tier=dearest.tier,
        place=of_template(dearest.place),
        calls=len(group),
        sessions=len({one.session_id for one in group}),
        lost_tokens=sum(one.lost_tokens for one in group),
        lost_usd=usd,
        usd_a_month=monthly_usd(usd, span_s),
        example=dearest,
    )


def monthly_usd(usd: Decimal | None, span_s: float | None) -> Decimal | None:
    """Return what a month costs at the pace of the trace; None where it spans less than a day."""
    if usd is None or span_s is None or span_s < DAY_S:
        return None
    return usd * Decimal(MONTH_S / span_s)


def _weight(finding: Finding) -> tuple[Decimal, int]:
    return finding.lost_usd or Decimal(0), finding.lost_tokens


def of_template(place: str) -> str:
    """Return what a place is called in the template: there, later messages are all the history."""
    return _MESSAGE.sub(
        lambda found: found[0] if int(found[1]) < TEMPLATE_MESSAGES else "history", place
    )
