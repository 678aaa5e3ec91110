"""The list of sessions."""

from dataclasses import dataclass

from phasewise_analyzer import rollups
from phasewise_analyzer.findings import LabelValue, SessionRow, Totals
from phasewise_store.store import Store

from phasewise_web.caveats import caveats, state_of_analysis
from phasewise_web.pages import views
from phasewise_web.pages.address import Place, sources
from phasewise_web.pages.views import View

PAGE_ROWS = 50


@dataclass(frozen=True, slots=True)
class SessionsPage:
    """One row per session, a page at a time."""

    view: View
    totals: Totals
    rows: tuple[SessionRow, ...]
    offset: int
    earlier: int | None
    """offset of the page before; None on the first"""
    later: int | None
    """offset of the page behind; None on the last"""
    last: int
    """offset of the last page"""
    sources: tuple[str, ...]
    labels: tuple[LabelValue, ...]
    notes: tuple[str, ...]


def sessions_page(store: Store, place: Place) -> SessionsPage:
    """Make the page."""
    offset = place.offset
    totals = rollups.totals(store, place.scope)
    last = max(0, totals.sessions - 1) // PAGE_ROWS * PAGE_ROWS
    return SessionsPage(
        view=views.view_of(place.query.get("view")),
        totals=totals,
        rows=rollups.sessions(store, place.scope, limit=PAGE_ROWS, offset=offset),
        offset=offset,
        earlier=min(max(0, offset - PAGE_ROWS), last) if offset else None,
        later=offset + PAGE_ROWS if offset + PAGE_ROWS < totals.sessions else None,
        last=last,
        sources=sources(store),
        labels=rollups.labels(store, place.scope),
        notes=(*state_of_analysis(store, place.scope.source), *caveats([totals])),
    )
