"""Geometry of an agent's prompt as two stacks: as sent, and in the best order.  Pure.

Heights are in pixels; the template sets the widths, so that the picture fits every window.
Neighbouring tools of equal stability are drawn as one layer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from phasewise_analyzer.structure.facts import ORDER, Block, Stability, Structure

from phasewise_reports.words import tokens

Tone = Literal["c", "none"]
"""c what a cache keeps: the same in every call, or in those of a session; none what changes"""

TEMPLATE_PX = 380
"""height of a template whose blocks are all tall enough"""
LINE_PX = 22
"""least height of a layer: its name must fit"""
HISTORY_PX = 52
GAP_PX = 2


@dataclass(frozen=True, slots=True)
class Layer:
    """One drawn stretch of the prompt."""

    label: str
    detail: str
    """tokens, or why there are none"""
    title: str
    stability: Stability
    tone: Tone
    resent: float
    """share of its tokens that is read again although sent before, in [0, 1]; 0 where it should
    stand: what is left there nobody has counted"""
    moves: bool
    top: int
    height: int


@dataclass(frozen=True, slots=True)
class Ribbon:
    """What joins a layer as sent with the same layer as it should stand."""

    path: str
    """in a picture that is 100 wide and as high as the stacks"""
    moves: bool


@dataclass(frozen=True, slots=True)
class StructureChart:
    """Two stacks and what joins them."""

    here: tuple[Layer, ...]
    there: tuple[Layer, ...]
    ribbons: tuple[Ribbon, ...]
    """those of layers that move last, so that they lie over the others"""
    height: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A layer before it has a place."""

    label: str
    names: tuple[str, ...]
    tokens: int | None
    stability: Stability
    resent: float
    moves: bool


def structure_chart(structure: Structure, *, history: bool) -> StructureChart | None:
    """Place both stacks; `history` says whether messages follow; None where nothing is known."""
    parts = list(_parts(structure.blocks))
    if not parts:
        return None
    if history:
        parts.append(_Part("history", (), None, "history", 0.0, False))
    order = sorted(range(len(parts)), key=lambda place: ORDER.index(parts[place].stability))
    scale = TEMPLATE_PX / max(1, sum(part.tokens or 0 for part in parts))
    heights = [_height(part, scale) for part in parts]
    here = _stack(parts, heights, range(len(parts)))
    there = _stack([replace(part, resent=0.0) for part in parts], heights, order)
    joined = dict(zip(order, there, strict=True))
    ribbons = [_ribbon(one, joined[place]) for place, one in enumerate(here)]
    return StructureChart(
        here=here,
        there=there,
        ribbons=tuple(sorted(ribbons, key=lambda one: one.moves)),
        height=sum(heights) + GAP_PX * (len(parts) - 1),
    )


def _parts(blocks: Sequence[Block]) -> Iterator[_Part]:
    """Put neighbouring tools that are alike together."""

    def kind(numbered: tuple[int, Block]) -> tuple[object, ...]:
        place, block = numbered
        return block.stability, block.should_move, -1 if block.tier == "tools" else place

    for _, some in groupby(enumerate(blocks), key=kind):
        group = [block for _, block in some]
        sent = sum(block.sent_tokens for block in group)
        yield _Part(
            label=group[0].label if len(group) == 1 else f"{len(group)} tools",
            names=tuple(block.label for block in group),
            tokens=sum(block.tokens for block in group),
            stability=group[0].stability,
            resent=sum(block.resent_tokens for block in group) / sent if sent else 0.0,
            moves=group[0].should_move,
        )


def _height(part: _Part, scale: float) -> int:
    return HISTORY_PX if part.tokens is None else max(LINE_PX, round(part.tokens * scale))


def _stack(
    parts: Sequence[_Part], heights: Sequence[int], order: Sequence[int]
) -> tuple[Layer, ...]:
    layers = []
    top = 0
    for place in order:
        layers.append(_layer(parts[place], top, heights[place]))
        top += heights[place] + GAP_PX
    return tuple(layers)


def _layer(part: _Part, top: int, height: int) -> Layer:
    detail = "grows" if part.tokens is None else tokens(part.tokens)
    stable = part.stability in ("static", "session", "history")
    return Layer(
        label=part.label,
        detail=detail,
        title=", ".join(part.names) or "the messages after the template; not to scale",
        stability=part.stability,
        tone="c" if stable else "none",
        resent=part.resent,
        moves=part.moves,
        top=top,
        height=height,
    )


def _ribbon(here: Layer, there: Layer) -> Ribbon:
    left, right = here.top, there.top
    ends = here.top + here.height, there.top + there.height
    return Ribbon(
        f"M0,{left} C50,{left} 50,{right} 100,{right} L100,{ends[1]} "
        f"C50,{ends[1]} 50,{ends[0]} 0,{ends[0]} Z",
        here.moves,
    )
