"""The landing page: what each agent costs, by phase."""

from dataclasses import dataclass

from phasewise_analyzer import rollups
from phasewise_analyzer.findings import AgentRow, LabelValue, ModelRow, Totals
from phasewise_store.store import Store

from phasewise_web.caveats import caveats, state_of_analysis
from phasewise_web.pages import views
from phasewise_web.pages.address import Place, sources
from phasewise_web.pages.views import View


@dataclass(frozen=True, slots=True)
class AgentsPage:
    """One row a role, one a model, and their sum."""

    view: View
    totals: Totals
    rows: tuple[AgentRow, ...]
    models: tuple[ModelRow, ...]
    sources: tuple[str, ...]
    labels: tuple[LabelValue, ...]
    notes: tuple[str, ...]


def agents_page(store: Store, place: Place) -> AgentsPage:
    """Make the page."""
    totals = rollups.totals(store, place.scope)
    return AgentsPage(
        view=views.view_of(place.query.get("view")),
        totals=totals,
        rows=rollups.agents(store, place.scope),
        models=rollups.models(store, place.scope),
        sources=sources(store),
        labels=rollups.labels(store, place.scope),
        notes=(*state_of_analysis(store, place.scope.source), *caveats([totals])),
    )
