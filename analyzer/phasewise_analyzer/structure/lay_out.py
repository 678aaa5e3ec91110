"""Lay an agent's prompt out by stability, and price it where its blocks stand and should stand.

The prompt-structure rule: static first, dynamic last. A block is read from the cache only if all
before it is what an earlier call had sent. So each block is charged in full on every call that
changed something before it, and with blocks in order of stability only on those that changed the
block itself or something as stable. Both prices assume a cache that keeps all it can, and no
charge for writes: they are estimates of the rule's effect alone.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl
from phasewise_store import reads
from phasewise_store.errors import UsageError
from phasewise_store.facts import Segment
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_analyzer.breaks.grouping import DAY_S, MONTH_S
from phasewise_analyzer.breaks.prompts import front_of
from phasewise_analyzer.prices import Rates
from phasewise_analyzer.structure import slots
from phasewise_analyzer.structure.facts import ORDER, Block, Structure
from phasewise_analyzer.structure.slots import Sent

MOST_CALLS = 5_000
"""the last of an agent's calls; more tell nothing new about its template"""
FIRST_MESSAGES = 1
"""messages that belong to the template; what follows is history"""


@dataclass(slots=True)
class _Piece:
    """One block over all calls."""

    tier: str
    label: str
    values: dict[str, list[str]] = field(default_factory=dict)
    """by session, in order"""
    sent: dict[int, tuple[str, int]] = field(default_factory=dict)
    """by call: text and tokens"""


def lay_out(store: Store, scope: Scope) -> Structure:
    """Return the structure of the one agent in scope; raises UsageError where there is none."""
    calls = reads.llm_calls(store, scope)
    with_prompt = calls.filter(pl.col("leaf_node") != 0).tail(MOST_CALLS)
    if not with_prompt.height:
        raise UsageError("no calls with a known prompt; `phasewise agents` lists all agents")
    names = with_prompt["agent"].unique().to_list()
    if len(names) > 1:
        raise UsageError(f"choose one agent with --agent: {', '.join(sorted(names)[:12])}")
    rows = with_prompt.rows(named=True)
    fronts = list(front_of(store, [row["leaf_node"] for row in rows], FIRST_MESSAGES))
    months = _months(with_prompt)
    sessions = with_prompt["session_id"].n_unique()
    if any(one.kind == "block" or one.content is None for front in fronts for one in front):
        return Structure(names[0], len(rows), sessions, (), months, None, None, hidden=True)
    pieces, orders = _pieces([row["session_id"] for row in rows], fronts)
    blocks = tuple(_blocks(pieces, orders, rows))
    return Structure(
        names[0],
        len(rows),
        sessions,
        blocks,
        months,
        _sum([block.usd_here for block in blocks]),
        _sum([block.usd_there for block in blocks]),
        hidden=False,
    )


def _pieces(
    sessions: Sequence[str], fronts: Sequence[Sequence[Segment]]
) -> tuple[list[_Piece], list[list[int]]]:
    """Cut all calls' prompts alike.

    The pieces are in the order of the last call; also the places of each call's pieces among them.
    """
    by_call = [slots.sent(front) for front in fronts]
    texts: dict[str, list[str]] = {}
    for some in by_call:
        for one in some:
            texts.setdefault(one.slot, []).append(one.text)
    cuts = {slot: slots.cut(found) for slot, found in texts.items()}
    pieces: dict[str, _Piece] = {}
    for call, (session, some) in enumerate(zip(sessions, by_call, strict=True)):
        for one in some:
            for label, text, tokens in slots.pieces(one, cuts[one.slot]):
                piece = pieces.setdefault(label, _Piece(one.tier, label))
                piece.values.setdefault(session, []).append(text)
                piece.sent[call] = text, tokens
    labels = [_labels(some, cuts) for some in by_call]
    order: dict[str, int] = {}
    for names in reversed(labels):
        for label in names:
            order.setdefault(label, len(order))
    return (
        sorted(pieces.values(), key=lambda piece: order[piece.label]),
        [[order[label] for label in some] for some in labels],
    )


def _labels(some: Sequence[Sent], cuts: dict[str, slots.Cut]) -> list[str]:
    return [label for one in some for label, _, _ in slots.pieces(one, cuts[one.slot])]


def _blocks(
    pieces: Sequence[_Piece], orders: Sequence[Sequence[int]], rows: Sequence[dict[str, object]]
) -> list[Block]:
    kinds = [slots.stability(piece.values) for piece in pieces]
    there = sorted(range(len(pieces)), key=lambda place: ORDER.index(kinds[place]))
    read_here = _read(pieces, orders)
    read_there = _read(pieces, [there] * len(orders))
    rates = [None if row["rates"] is None else Rates.from_json(str(row["rates"])) for row in rows]
    found = []
    for place, piece in enumerate(pieces):
        calls = list(piece.sent)
        sent = sum(tokens for _, tokens in piece.sent.values())
        known = _known(piece)
        last_text = piece.sent[calls[-1]][0]
        found.append(
            Block(
                tier=piece.tier,
                label=piece.label,
                stability=kinds[place],
                text=" ".join(last_text[:200].split()),
                values=len({text for text, _ in piece.sent.values()}),
                calls=len(calls),
                tokens=sent // len(calls),
                sent_tokens=sent,
                resent_tokens=sum(
                    tokens
                    for call, (_, tokens) in piece.sent.items()
                    if call in known and call not in read_here[place]
                ),
                usd_here=_price(piece, read_here[place], rates),
                usd_there=_price(piece, read_there[place], rates),
                should_move=any(
                    ORDER.index(kinds[behind]) < ORDER.index(kinds[place])
                    for behind in range(place + 1, len(pieces))
                ),
            )
        )
    return found


def _known(piece: _Piece) -> set[int]:
    """Return the calls that sent a text which an earlier one had sent."""
    seen: set[str] = set()
    known = set()
    for call, (text, _) in piece.sent.items():
        if text in seen:
            known.add(call)
        seen.add(text)
    return known


def _read(pieces: Sequence[_Piece], orders: Sequence[Sequence[int]]) -> dict[int, set[int]]:
    """Give, for each piece, the calls that could read it from a cache, each in its own order."""
    seen: set[Hashable] = set()
    read: dict[int, set[int]] = {place: set() for place in range(len(pieces))}
    for call, order in enumerate(orders):
        above: Hashable = None
        for place in order:
            sent = pieces[place].sent.get(call)
            if sent is None:
                continue
            above = hash((above, place, sent[0]))
            if above in seen:
                read[place].add(call)
            seen.add(above)
    return read


def _price(piece: _Piece, read: set[int], rates: Sequence[Rates | None]) -> Decimal | None:
    total = Decimal(0)
    priced = False
    for call, (_, tokens) in piece.sent.items():
        rate = rates[call]
        if rate is None:
            continue
        priced = True
        cached = call in read and rate.cache_read is not None
        each = rate.cache_read if cached and rate.cache_read is not None else rate.uncached
        total += tokens * each / 10**6
    return total if priced else None


def _months(calls: pl.DataFrame) -> float | None:
    starts: list[int] = calls["started_ns"].drop_nulls().to_list()
    span_s = (max(starts) - min(starts)) / 1e9 if starts else 0.0
    return span_s / MONTH_S if span_s >= DAY_S else None


def _sum(values: Sequence[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None
