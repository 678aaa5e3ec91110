"""Prefix breaks: where prompts stop matching earlier ones; findings, and the breaks of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from phasewise_analyzer import rollups
from phasewise_analyzer.breaks import recorded
from phasewise_analyzer.breaks.facts import Break, Breaks, Finding
from phasewise_analyzer.breaks.recorded import Choice
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_web.caveats import state_of_analysis
from phasewise_web.pages.address import Place, source_of, sources

PAGE_ROWS = 50
FILTERS = ("cause", "tier")
"""words of the address that choose among the breaks, beside `finding`"""


@dataclass(frozen=True, slots=True)
class Row:
    """One finding."""

    number: int
    """its `?finding=`"""
    finding: Finding
    share: float
    """of all that is lost on this page, in dollars where prices are known, else in tokens"""


@dataclass(frozen=True, slots=True)
class Shown:
    """Breaks one by one, a page at a time."""

    finding: Finding | None
    """None where a filter chose them"""
    causes: tuple[Cause, ...]
    """that occur among them"""
    there: int
    rows: tuple[Break, ...]
    differing: bool
    """whether one of the rows knows the text that differs"""
    offset: int
    earlier: int | None
    """offset of the page before; None on the first"""
    later: int | None


@dataclass(frozen=True, slots=True)
class BreaksPage:
    """What was read again to no use, and what on purpose."""

    source: str | None
    """data set; prompts of different ones share nothing"""
    sources: tuple[str, ...]
    calls: int
    input_tokens: int
    input_usd: Decimal | None
    wasted_tokens: int
    wasted_usd: Decimal | None
    waste: float
    """share of the input tokens, in [0, 1]"""
    deep_breaks: int
    wasteful: tuple[Row, ...]
    """dearest first"""
    legitimate: tuple[Row, ...]
    shown: Shown | None
    """None where the address asks for no breaks"""
    notes: tuple[str, ...]


def breaks_page(store: Store, place: Place) -> BreaksPage:
    """Make the page for the data set named in the address, or the newest one."""
    there = sources(store)
    source = source_of(store, place)
    if source is None:
        return BreaksPage(None, there, 0, 0, None, 0, None, 0.0, 0, (), (), None, ())
    scope = Place(place.path, {**place.query, "source": source}).scope
    found = recorded.summary(store, scope)
    rows = _rows(found)
    return BreaksPage(
        source=source,
        sources=there,
        calls=found.calls,
        input_tokens=found.input_tokens,
        input_usd=found.prefill_usd,
        wasted_tokens=found.wasted_tokens,
        wasted_usd=found.wasted_usd,
        waste=found.waste,
        deep_breaks=found.deep_breaks,
        wasteful=tuple(row for row in rows if row.finding.cause.wasteful),
        legitimate=tuple(row for row in rows if not row.finding.cause.wasteful),
        shown=_shown(store, scope, found, place),
        notes=(*state_of_analysis(store, source), *_notes(store, scope)),
    )


def _rows(found: Breaks) -> list[Row]:
    priced = any(one.lost_usd for one in found.findings)

    def weight(one: Finding) -> float:
        return float(one.lost_usd or 0) if priced else float(one.lost_tokens)

    whole = sum(map(weight, found.findings)) or 1.0
    return [
        Row(number, one, weight(one) / whole) for number, one in enumerate(found.findings, start=1)
    ]


def _shown(store: Store, scope: Scope, found: Breaks, place: Place) -> Shown | None:
    """Choose the breaks that the address asks for; an unknown finding has none."""
    number = place.query.get("finding", "")
    wanted = {name: place.query[name] for name in FILTERS if name in place.query}
    if not number and not wanted:
        return None
    finding = None
    offset = place.offset
    if number:
        place_of = int(number) - 1
        finding = found.findings[place_of] if 0 <= place_of < len(found.findings) else None
        if finding is None:
            return Shown(None, (), 0, (), False, offset, None, None)
    choice = Choice(finding, wanted.get("cause"), wanted.get("tier"))
    chosen = recorded.listed(store, scope, choice, limit=PAGE_ROWS, offset=offset)
    return Shown(
        finding=finding,
        causes=chosen.causes,
        there=chosen.there,
        rows=chosen.breaks,
        differing=any(one.before or one.after for one in chosen.breaks),
        offset=offset,
        earlier=max(0, offset - PAGE_ROWS) if offset else None,
        later=offset + PAGE_ROWS if offset + PAGE_ROWS < chosen.there else None,
    )


def _notes(store: Store, scope: Scope) -> Iterator[str]:
    """Say what the list cannot know."""
    totals = rollups.counts(store, scope)
    if totals.cache_unknown_calls:
        yield (
            f"{totals.cache_unknown_calls:,} of {totals.calls:,} calls do not report cached "
            "tokens; for these, only breaks that the prompt text shows are found."
        )
    if unpriced := totals.calls - totals.priced_calls:
        yield (
            f"{unpriced:,} of {totals.calls:,} calls have no known price; their lost tokens are "
            "counted, but not their cost."
        )
