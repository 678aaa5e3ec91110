"""An agent's prompt block by block: what should stand where, and what its order costs."""

from dataclasses import dataclass
from decimal import Decimal

from phasewise_analyzer import rollups
from phasewise_analyzer.structure.facts import Block, Structure
from phasewise_analyzer.structure.lay_out import MOST_CALLS
from phasewise_reports.structure_chart import StructureChart, structure_chart
from phasewise_reports.structure_words import STABILITIES, Move, moves
from phasewise_store.kept_answers import Question
from phasewise_store.store import Store

from phasewise_web.background.answers import NOTHING, Answers, Progress
from phasewise_web.background.questions import STRUCTURE, read_structure
from phasewise_web.caveats import state_of_analysis
from phasewise_web.pages.address import Place, source_of, sources

MOST_AGENTS = 24
"""to choose from, dearest first; any other is reached by its address"""
HISTORY_SHARE = 0.05
"""of the input beyond the template, from which on a history is drawn"""


@dataclass(frozen=True, slots=True)
class Row:
    """One block."""

    block: Block
    stability: str
    """in words"""
    usd_a_month: Decimal | None
    """saved where it should stand, at the pace of the trace; None where it spans under a day"""


@dataclass(frozen=True, slots=True)
class StructurePage:
    """The prompt-structure rule, static first, dynamic last, for one agent."""

    source: str | None
    """data set"""
    sources: tuple[str, ...]
    agent: str | None
    """None where the store is empty"""
    agents: tuple[str, ...]
    agents_left_out: int
    structure: Structure | None
    """None where no call of the agent has a known prompt, or nothing is laid out yet"""
    progress: Progress
    chart: StructureChart | None
    rows: tuple[Row, ...]
    template_tokens: int
    """of a call, on average"""
    usd_a_month: Decimal | None
    """saved by the whole order"""
    moves: tuple[Move, ...]
    """what to do; what harms most first"""
    notes: tuple[str, ...]


def structure_page(store: Store, place: Place, answers: Answers) -> StructurePage:
    """Make the page for the agent named in the address, or the dearest one of the data set."""
    there = sources(store)
    source = source_of(store, place)
    if source is None:
        return StructurePage(None, there, None, (), 0, None, NOTHING, None, (), 0, None, (), ())
    of_source = Place(place.path, {"source": source}).scope
    agents = rollups.roles(store, of_source)
    agent = place.query.get("agent") or (agents[0] if agents else None)
    query = {**place.query, "source": source} | ({"agent": agent} if agent else {})
    scope = Place(place.path, query).scope
    look = answers.look(Question(STRUCTURE, scope), read_structure)
    structure = look.answer
    blocks = structure.blocks if structure else ()
    template = sum(block.tokens * block.calls for block in blocks)
    template //= max(1, structure.calls if structure else 1)
    totals = rollups.counts(store, scope)
    history = totals.input_tokens > (1 + HISTORY_SHARE) * template * totals.calls
    months = structure.months if structure else None
    return StructurePage(
        source=source,
        sources=there,
        agent=agent,
        agents=agents[:MOST_AGENTS],
        agents_left_out=max(0, len(agents) - MOST_AGENTS),
        structure=structure,
        progress=look.progress,
        chart=structure_chart(structure, history=history) if structure else None,
        rows=tuple(
            Row(
                block,
                STABILITIES[block.stability],
                _a_month(block.usd_here, block.usd_there, months),
            )
            for block in blocks
        ),
        template_tokens=template,
        usd_a_month=_a_month(structure.usd_here, structure.usd_there, months)
        if structure
        else None,
        moves=moves(blocks),
        notes=(*state_of_analysis(store, source), *_notes(structure)),
    )


def _a_month(here: Decimal | None, there: Decimal | None, months: float | None) -> Decimal | None:
    if here is None or there is None or not months:
        return None
    return (here - there) / Decimal(months)


def _notes(structure: Structure | None) -> tuple[str, ...]:
    if structure is None or structure.hidden:
        return ()
    found = []
    if structure.calls >= MOST_CALLS:
        found.append(f"Shows the last {MOST_CALLS:,} calls of the agent.")
    if structure.usd_here is None:
        found.append("These calls have no known price, so the order has no cost.")
    elif structure.months is None:
        found.append(
            "The trace spans less than a day, or has no times, so there is no monthly cost."
        )
    return tuple(found)
