"""Where every dollar of the input bill went, and how well the providers' rules predict it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from phasewise_analyzer import rollups
from phasewise_analyzer.ledger.facts import Drift, Explained, Ledger, Line
from phasewise_reports.bill_bar import Stretch, bill_bar
from phasewise_reports.ledger_words import words
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_web.pages.address import Place, source_of, sources
from phasewise_web.pages.answer_cache import Kept

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
class CallRow:
    """One call: what the rule says, and what was reported."""

    call_id: str
    session_id: str
    agent: str
    model: str | None
    step: int
    policy: str | None
    input_tokens: int
    sent_before: int
    predicted_read: int | None
    reported_read: int | None
    difference: int | None
    """reported less predicted"""
    tokens: int | None
    """that have the reason asked for; None where none is"""
    usd: Decimal | None


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


def ledger_page(store: Store, place: Place, kept: Kept[Ledger]) -> LedgerPage:
    """Make the page for the data set named in the address, or the newest one."""
    there = sources(store)
    source = source_of(store, place)
    if source is None:
        return LedgerPage(None, there, 0, 0, None, (), 0, 0, (), None, ())
    scope = Place(place.path, {**place.query, "source": source}).scope
    found = kept.of(scope)
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
        shown=_calls(store, found, place),
        notes=tuple(_notes(store, scope)),
    )


def _reason(line: Line, stretch: Stretch) -> Reason:
    said = words(line.reason)
    return Reason(line, stretch, said.title, said.what)


def _calls(store: Store, found: Ledger, place: Place) -> Calls:
    """Choose the calls that have the reason asked for, or that the rule predicts worst."""
    reason = place.query.get("reason") or None
    if reason is None:
        chosen = sorted(
            (one for one in found.explained if _off(one) and not one.is_exact),
            key=_off,
            reverse=True,
        )
    else:
        chosen = sorted(
            (one for one in found.explained if _with(one, reason)[0]),
            key=lambda one: _by_price(one, reason),
            reverse=True,
        )
    offset = place.offset
    return Calls(
        reason=reason,
        title="" if reason is None else words(reason).title,
        there=len(chosen),
        rows=tuple(_rows(store, chosen[offset : offset + PAGE_ROWS], reason)),
        offset=offset,
        earlier=max(0, offset - PAGE_ROWS) if offset else None,
        later=offset + PAGE_ROWS if offset + PAGE_ROWS < len(chosen) else None,
    )


def _off(one: Explained) -> int:
    if one.predicted_read is None or one.reported_read is None:
        return 0
    return abs(one.reported_read - one.predicted_read)


def _with(one: Explained, reason: str) -> tuple[int, Decimal | None]:
    """Give the call's tokens that have this reason, and their price."""
    parts = [part for part in one.parts if part.reason == reason]
    priced = [part.usd for part in parts if part.usd is not None]
    return sum(part.tokens for part in parts), sum(priced, Decimal(0)) if priced else None


def _by_price(one: Explained, reason: str) -> tuple[Decimal, int]:
    tokens, usd = _with(one, reason)
    return usd or Decimal(0), tokens


_NAMES = """
SELECT c.call_id, c.session_id, coalesce(a.name, 'unknown'), c.model, c.step, c.input_tokens
FROM llm_calls c
LEFT JOIN agents a USING (agent_id)
WHERE c.call_id IN (SELECT unnest($ids))
"""


def _rows(store: Store, chosen: Sequence[Explained], reason: str | None) -> Iterator[CallRow]:
    if not chosen:
        return
    names = {
        row[0]: row[1:]
        for row in store.frame(_NAMES, {"ids": [one.call_id for one in chosen]}).iter_rows()
    }
    for one in chosen:
        session_id, agent, model, step, input_tokens = names[one.call_id]
        tokens, usd = (None, None) if reason is None else _with(one, reason)
        both = one.predicted_read is not None and one.reported_read is not None
        yield CallRow(
            call_id=one.call_id,
            session_id=session_id,
            agent=agent,
            model=model,
            step=step,
            policy=one.policy,
            input_tokens=input_tokens,
            sent_before=one.sent_before,
            predicted_read=one.predicted_read,
            reported_read=one.reported_read,
            difference=(one.reported_read or 0) - (one.predicted_read or 0) if both else None,
            tokens=tokens,
            usd=usd,
        )


def _notes(store: Store, scope: Scope) -> Iterator[str]:
    """Say what the bill cannot know."""
    totals = rollups.totals(store, scope)
    if totals.cache_unknown_calls:
        yield (
            f"{totals.cache_unknown_calls:,} of {totals.calls:,} calls do not report cached "
            "tokens: all they had sent before counts as not read, which is an upper bound."
        )
    if unpriced := totals.calls - totals.priced_calls:
        yield (
            f"{unpriced:,} of {totals.calls:,} calls name no model with a known price: their "
            "tokens are counted, and their dollars are not."
        )
