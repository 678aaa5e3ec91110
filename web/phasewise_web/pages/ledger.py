"""Where every dollar of the input bill went, and how well the providers' rules predict it."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from phasewise_analyzer import rollups
from phasewise_analyzer.ledger import calls_behind, recorded
from phasewise_analyzer.ledger.calls_behind import CallRow
from phasewise_analyzer.ledger.facts import Drift, Line
from phasewise_reports.bill_bar import Stretch, bill_bar
from phasewise_reports.ledger_words import words
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_web.caveats import state_of_analysis
from phasewise_web.pages.address import Place, source_of, sources

PAGE_ROWS = 50


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of the bill."""

    line: Line
    stretch: Stretch
    """its part of the bar"""
    title: str
    what: str


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls one by one, a page at a time."""

    reason: str | None
    """that they have in common; None: the ones whose report differs most from the prediction"""
    title: str
    there: int
    rows: tuple[CallRow, ...]
    offset: int
    earlier: int | None
    """offset of the page before; None on the first"""
    later: int | None


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """The bill by reason, and the calls behind it."""

    source: str | None
    """data set; prompts of different ones share nothing"""
    sources: tuple[str, ...]
    calls: int
    input_tokens: int
    input_usd: Decimal | None
    """the bill, of the calls that have a price"""
    reasons: tuple[Reason, ...]
    judged_calls: int
    """with a rule and a reported cache"""
    exact_calls: int
    """of them, those of which exactly as much was read as the rule says"""
    drifts: tuple[Drift, ...]
    shown: Calls | None
    notes: tuple[str, ...]


def ledger_page(store: Store, place: Place) -> LedgerPage:
    """Make the page for the data set named in the address, or the newest one."""
    there = sources(store)
    source = source_of(store, place)
    if source is None:
        return LedgerPage(None, there, 0, 0, None, (), 0, 0, (), None, ())
    scope = Place(place.path, {**place.query, "source": source}).scope
    found = recorded.summary(store, scope)
    stretches = bill_bar(found.lines)
    return LedgerPage(
        source=source,
        sources=there,
        calls=found.calls,
        input_tokens=found.input_tokens,
        input_usd=found.prefill_usd,
        reasons=tuple(_reason(*both) for both in zip(found.lines, stretches, strict=True)),
        judged_calls=found.judged_calls,
        exact_calls=found.exact_calls,
        drifts=found.drifts,
        shown=_calls(store, scope, place),
        notes=(*state_of_analysis(store, source), *_notes(store, scope)),
    )


def _reason(line: Line, stretch: Stretch) -> Reason:
    said = words(line.reason)
    return Reason(line, stretch, said.title, said.what)


def _calls(store: Store, scope: Scope, place: Place) -> Calls:
    """Choose the calls that have the reason asked for, or that the rule predicts worst."""
    reason = place.query.get("reason") or None
    offset = place.offset
    if reason is None:
        there, rows = calls_behind.predicted_worst(store, scope, limit=PAGE_ROWS, offset=offset)
    else:
        there, rows = calls_behind.of_reason(store, scope, reason, limit=PAGE_ROWS, offset=offset)
    return Calls(
        reason=reason,
        title="" if reason is None else words(reason).title,
        there=there,
        rows=rows,
        offset=offset,
        earlier=max(0, offset - PAGE_ROWS) if offset else None,
        later=offset + PAGE_ROWS if offset + PAGE_ROWS < there else None,
    )


def _notes(store: Store, scope: Scope) -> Iterator[str]:
    """Say what the bill cannot know."""
    totals = rollups.counts(store, scope)
    if totals.cache_unknown_calls:
        yield (
            f"{totals.cache_unknown_calls:,} of {totals.calls:,} calls do not report cached "
            "tokens: what they had sent before is a line of its own (hatched), charged as their "
            "provider's rule would."
        )
    if unpriced := totals.calls - totals.priced_calls:
        yield (
            f"{unpriced:,} of {totals.calls:,} calls have no known price; their tokens are "
            "counted, but not their cost."
        )
