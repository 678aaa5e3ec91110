"""The flame graph's frames as they are kept: enough of them to draw any measure and open frames.

Of a large tree the widest frames are kept, and what is narrower as one frame beside its siblings.
`make` reads the store, `picture` does not: it gives what `graph.find` gives, and says where it
would take narrower frames to do so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import get_args

import numpy as np
import numpy.typing as npt
from phasewise_store.store import Store

from phasewise_analyzer.flame import graph
from phasewise_analyzer.flame.facts import Flame, Frame, Measure, Width
from phasewise_analyzer.flame.frames import PICO
from phasewise_analyzer.flame.graph import Forest, FrameFacts, Shown

MOST_KEPT = 2_000
"""frames of one tree, the widest in any measure"""
READ_AT_ONCE = 200
"""frames whose texts are in memory together"""

MEASURES: tuple[Measure, ...] = get_args(Measure)


@dataclass(frozen=True, slots=True)
class KeptFrame:
    """One frame, or the narrow siblings that are kept as one (`others`)."""

    frame: Frame
    """`parent` is its place among the kept ones"""
    agents: Mapping[str, int]
    """all roles, with their calls that enter it"""
    left_out: Mapping[Measure, int]
    """the widest frame behind it that is not kept, in units of the measure"""


@dataclass(frozen=True, slots=True)
class KeptTree:
    """The frames that are kept of one tree, parents before children."""

    frames: tuple[KeptFrame, ...]
    opened: int
    """place of the frame that the tree was made for; 0 is all prompts"""
    all_frames: int
    calls: int
    unknown_calls: int
    cache_unknown_calls: int
    unpriced_calls: int
    roles: tuple[str, ...]
    """in the order of their first calls"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of kept frames."""

    flame: Flame
    is_whole: bool
    """False where frames that are not kept would be wide enough to be seen"""


def make(store: Store, forest: Forest, address: str = "", most: int = MOST_KEPT) -> KeptTree:
    """Keep what is widest from the frame of this address down, and the way to it."""
    top = forest.at(address)
    way = forest.above(top)
    chosen = _chosen(forest, top, most)
    kept = sorted({*way, *chosen})
    number = {frame: place for place, frame in enumerate(kept)}
    facts = FrameFacts(store, forest)
    whole = {name: graph.measured(forest.frames.below, name) for name in MEASURES}
    found: list[KeptFrame] = []
    rest: list[tuple[int, list[int]]] = []
    for start in range(0, len(kept), READ_AT_ONCE):
        some = kept[start : start + READ_AT_ONCE]
        facts.read(some)
        for frame in some:
            above = number.get(int(forest.frames.parent[frame]), -1)
            narrow = [one for one in forest.children[frame] if one not in number]
            if narrow and frame not in way:
                rest.append((number[frame], narrow))
            found.append(
                KeptFrame(
                    facts.frame(Shown([frame], above, 0)),
                    facts.agents([frame]),
                    {name: max((whole[name][one] for one in narrow), default=0) for name in whole},
                )
            )
    found = _with_what_follows(found)
    for above, narrow in rest:
        merged = Shown(narrow, above, 0, merged=True)
        found.append(KeptFrame(facts.frame(merged), facts.agents(narrow), dict.fromkeys(whole, 0)))
    return KeptTree(
        tuple(found),
        number[top],
        all_frames=len(forest.children) - 1,
        calls=forest.calls.height,
        unknown_calls=int((forest.placed.tree.leaf < 0).sum()),
        cache_unknown_calls=int((~forest.calls["cache_reported"]).sum()),
        unpriced_calls=forest.calls.height - int(forest.frames.priced_calls[0]),
        roles=facts.roles,
    )


def picture(tree: KeptTree, measure: Measure, address: str = "") -> Picture | None:
    """Draw what is below the frame of this address; None where that is not kept."""
    top = _at(tree, address)
    return None if top is None else _drawn(tree, measure, top)


def opened(tree: KeptTree, measure: Measure) -> Picture:
    """Draw what is below the frame that the tree was made for."""
    return _drawn(tree, measure, tree.opened)


def _drawn(tree: KeptTree, measure: Measure, top: int) -> Picture:
    frames = [one.frame for one in tree.frames]
    children = _children(frames)
    widths = [_units(frame.below, measure) for frame in frames]
    own = [0 if frame.kind == "others" else _units(frame.own, measure) for frame in frames]
    merged = {place for place, frame in enumerate(frames) if frame.kind == "others"}
    shown = graph.choose(children, widths, top, merged)
    widest = graph.choose_widest(children, own, top)
    left_out = tree.frames[top].left_out[measure]
    seen = left_out >= max(1, graph.LEAST_SHARE * widths[top])
    listed = left_out > (own[widest[-1]] if len(widest) == graph.MOST_WIDEST else 0)
    return Picture(
        Flame(
            measure=measure,
            frames=tuple(_shown(tree, one, children) for one in shown),
            above=tuple(map(_alone, (frames[one] for one in _way(frames, top)))),
            widest=tuple(_alone(frames[one]) for one in widest),
            all_frames=tree.all_frames,
            calls=tree.calls,
            unknown_calls=tree.unknown_calls,
            cache_unknown_calls=tree.cache_unknown_calls,
            unpriced_calls=tree.unpriced_calls,
        ),
        not seen and not listed,
    )


def _chosen(forest: Forest, top: int, most: int) -> set[int]:
    """Choose the widest frames from `top` down, in any measure, with all above them up to it."""
    behind = np.array(graph.inside(forest.children, top), dtype=np.int64)
    behind.sort()
    chosen = {top}
    share = np.zeros(len(behind))
    for name in MEASURES:
        below, own = (
            np.array(graph.measured(sums, name), dtype=np.float64)[behind]
            for sums in (forest.frames.below, forest.frames.own)
        )
        share = np.maximum(share, below / max(below[0], 1.0))
        chosen.update(behind[_largest(own, 2 * graph.MOST_WIDEST)].tolist())
    chosen.update(behind[_largest(share, most)].tolist())
    for frame in list(chosen):
        while frame != top and (frame := int(forest.frames.parent[frame])) not in chosen:
            chosen.add(frame)
    return chosen


def _largest(values: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.intp]:
    found = np.argsort(-values, kind="stable")[:most]
    return found[values[found] > 0]


def _with_what_follows(frames: list[KeptFrame]) -> list[KeptFrame]:
    """Say of each frame what is left out anywhere behind it, not only right behind it."""
    left_out = [dict(one.left_out) for one in frames]
    for place in range(len(frames) - 1, 0, -1):
        above = left_out[frames[place].frame.parent]
        for name, width in left_out[place].items():
            above[name] = max(above[name], width)
    return [replace(one, left_out=more) for one, more in zip(frames, left_out, strict=True)]


def _at(tree: KeptTree, address: str) -> int | None:
    """Find a frame whose branches are kept by its address."""
    for place in range(len(tree.frames) - 1, tree.opened - 1, -1):  # of two alike the lower one
        frame = tree.frames[place].frame
        if frame.address == address and frame.kind != "others":
            return place
    return None


def _children(frames: Sequence[Frame]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in frames]
    for place, frame in enumerate(frames):
        if frame.parent >= 0:
            found[frame.parent].append(place)
    return found


def _way(frames: Sequence[Frame], top: int) -> list[int]:
    way: list[int] = []
    while (top := frames[top].parent) >= 0:
        way.append(top)
    return way[::-1]


def _alone(frame: Frame) -> Frame:
    return replace(frame, parent=-1, level=0)


def _shown(tree: KeptTree, one: Shown, children: Sequence[Sequence[int]]) -> Frame:
    """Return a chosen frame as it is shown, or the facts of several in one."""
    frames = [tree.frames[place].frame for place in one.frames]
    if not one.merged:
        following = children[one.frames[0]] if one.hidden else ()
        hidden = sum(tree.frames[place].frame.branches for place in following)
        return replace(frames[0], parent=one.parent, level=one.level, hidden=hidden)
    calls: dict[str, int] = {}
    for place in one.frames:
        for agent, more in tree.frames[place].agents.items():
            calls[agent] = calls.get(agent, 0) + more
    agents = sorted((name for name in tree.roles if name in calls), key=lambda name: -calls[name])
    below = _sum([frame.below for frame in frames])
    return Frame(
        kind="others",
        address=tree.frames[frames[0].parent].frame.address,
        parent=one.parent,
        level=one.level,
        branches=sum(frame.branches for frame in frames),
        first=None,
        last=None,
        tokens=0,
        calls=sum(frame.calls for frame in frames),
        sessions=None,
        agents=tuple(islice(agents, graph.MOST_AGENTS)),
        agents_left_out=len(agents[graph.MOST_AGENTS :]),
        own=below,
        below=below,
        start=None,
        hidden=0,
    )


def _sum(widths: Sequence[Width]) -> Width:
    """Add widths; what no call has a price for counts nothing, unless none has one."""

    def total(name: str) -> int | Decimal | None:
        known = [value for one in widths if (value := getattr(one, name)) is not None]
        return sum(known[1:], start=known[0]) if known else None

    return Width(**{name: total(name) for name in Width.__slots__})  # type: ignore[arg-type]  # each of its own type


def _units(width: Width, measure: Measure) -> int:
    """Return a width in whole tokens, or in 1e-12 USD."""
    value = width.of(measure)
    return int(value.scaleb(PICO) if measure == "usd" else value)
