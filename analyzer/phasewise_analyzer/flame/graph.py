"""The prefix flame graph: where prompts share and where they part, as frames under frames.

A frame is as wide as what every call that passes sends in its stretch and in all that follows. So
the children of a frame are never wider than it, what they leave free is its own, and the topmost
frame is the total. What is too narrow to see is merged. A page under Prefixes draws it.
"""

import heapq
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain

import polars as pl
from phasewise_store import reads
from phasewise_store.facts import Segment
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer.flame import places
from phasewise_analyzer.flame.facts import Flame, Frame, Measure, Width
from phasewise_analyzer.flame.frames import PICO, Frames, Passing, Sums, frames, passing
from phasewise_analyzer.prefixes import placed_tree
from phasewise_analyzer.prefixes.placed_tree import PlacedTree

LEAST_SHARE = 1 / 400
"""of the topmost frame; what is narrower is merged with its siblings"""
MOST_LEVELS = 24
MOST_FRAMES = 300
"""no frame is opened any more where there are so many"""
MOST_WIDEST = 25
MOST_AGENTS = 3
MOST_COMPARED = 4
"""siblings whose texts are read to find where a frame parts from them"""

_ADDRESS = re.compile(r"(\d{1,18})\.(\d{1,18})", re.ASCII)


def find(
    store: Store, scope: Scope = EVERYTHING, *, measure: Measure = "sent", address: str = ""
) -> Flame:
    """Return the picture below the frame of this address; of all where there is none such."""
    forest = read(store, scope)
    widths = measured(forest.frames.below, measure)
    top = forest.at(address)
    shown = choose(forest.children, widths, top)
    own = measured(forest.frames.own, measure)
    way, widest = forest.above(top), choose_widest(forest.children, own, top)
    facts = FrameFacts(store, forest)
    facts.read([*(one.frames[0] for one in shown), *way, *widest])
    return Flame(
        measure=measure,
        frames=tuple(map(facts.frame, shown)),
        above=tuple(facts.frame(Shown([one], -1, 0)) for one in way),
        widest=tuple(facts.frame(Shown([one], -1, 0)) for one in widest),
        all_frames=len(forest.children) - 1,
        calls=forest.calls.height,
        unknown_calls=int((forest.placed.tree.leaf < 0).sum()),
        cache_unknown_calls=int((~forest.calls["cache_reported"]).sum()),
        unpriced_calls=forest.calls["missed_usd"].null_count(),
    )


@dataclass(frozen=True, slots=True)
class Forest:
    """The calls in scope, their tree, and all its frames."""

    calls: pl.DataFrame
    placed: PlacedTree
    frames: Frames
    children: list[list[int]]
    """[frames]"""

    def at(self, address: str) -> int:
        """Find the frame of an address: the one in which the named call has the named token."""
        named = _ADDRESS.fullmatch(address)
        row = self.calls["ordinal"].index_of(int(named[1])) if named else None
        if named is None or row is None:
            return 0
        frame = int(self.frames.leaf[row])
        while frame and self.tokens_before(frame) > int(named[2]):
            frame = int(self.frames.parent[frame])
        return frame

    def address(self, frame: int) -> str:
        """Name a frame by the first call that passes, and the tokens before the frame in it."""
        if not frame:
            return ""
        ordinal = self.calls["ordinal"][int(self.frames.first_call[frame])]
        return f"{ordinal}.{self.tokens_before(frame)}"

    def tokens_before(self, frame: int) -> int:
        """Count the tokens from the root to a frame, as the tree does."""
        above = int(self.frames.tail[self.frames.parent[frame]])
        return int(self.placed.tree.tokens_end[above]) if above >= 0 else 0

    def length(self, frame: int) -> int:
        """Count the tokens of a stretch."""
        end = self.placed.tree.tokens_end[int(self.frames.tail[frame])]
        return int(end) - self.tokens_before(frame)

    def above(self, frame: int) -> list[int]:
        """Return the way from frame 0 down to this one, which is not part of it."""
        way: list[int] = []
        while frame:
            frame = int(self.frames.parent[frame])
            way.append(frame)
        return way[::-1]


def read(store: Store, scope: Scope = EVERYTHING) -> Forest:
    """Read the calls in scope and cut their tree into frames."""
    calls = reads.sent_calls(store, scope)
    placed = placed_tree.read(store, scope)
    cut = frames(placed.tree, calls)
    return Forest(calls, placed, cut, cut.children())


@dataclass(slots=True)
class Shown:
    """A frame that was chosen, or several that are merged."""

    frames: list[int]
    parent: int
    level: int
    merged: bool = False
    hidden: int = 0


def choose(
    children: Sequence[Sequence[int]],
    widths: Sequence[int],
    top: int,
    merged: Collection[int] = frozenset(),
) -> list[Shown]:
    """Choose the frames, opening the widest first, until there are enough; parents come first.

    Those of `merged` are several in one already.
    """
    shown = [Shown([top], -1, 0)]
    waiting = [(-widths[top], 0)]
    while waiting:
        place = heapq.heappop(waiting)[1]
        above = shown[place]
        following = children[above.frames[0]]
        if len(shown) >= MOST_FRAMES or above.level == MOST_LEVELS:
            above.hidden = len(following)
            continue
        order = sorted(following, key=lambda one: -widths[one])
        least = max(1, LEAST_SHARE * widths[top])
        seen = [one for one in order if widths[one] >= least and one not in merged]
        for frame in seen:
            heapq.heappush(waiting, (-widths[frame], len(shown)))
            shown.append(Shown([frame], place, above.level + 1))
        if rest := [one for one in order if one not in seen]:
            shown.append(Shown(rest, place, above.level + 1, merged=True))
    return shown


def inside(children: Sequence[Sequence[int]], top: int) -> list[int]:
    """Return a frame and all that follow it."""
    found, waiting = list[int](), [top]
    while waiting:
        frame = waiting.pop()
        found.append(frame)
        waiting += children[frame]
    return found


def choose_widest(children: Sequence[Sequence[int]], own: Sequence[int], top: int) -> list[int]:
    """Choose the stretches from the topmost frame down that are widest in themselves."""
    some = (frame for frame in inside(children, top) if frame and own[frame])
    return heapq.nsmallest(MOST_WIDEST, some, key=lambda frame: (-own[frame], frame))


def measured(sums: Sums, measure: Measure) -> list[int]:
    """Return the sums of all frames in one measure."""
    arrays = {"sent": sums.sent, "missed": sums.missed, "usd": sums.missed_pico_usd}
    found: list[int] = arrays[measure].tolist()
    return found


class FrameFacts:
    """Makes facts of frames."""

    def __init__(self, store: Store, forest: Forest) -> None:
        self._store = store
        self._forest = forest
        self._sessions = _labels(forest, "session_id")[1]
        self._agent_names, self._agents = _labels(forest, "agent")

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the names of all roles, in the order of their first calls."""
        return tuple(self._agent_names)

    def read(self, frames: Sequence[int]) -> None:
        """Read what the facts of these frames need of the store, at once."""
        forest = self._forest
        stretches = [one for one in frames if one]
        self._siblings = {one: _siblings(forest, one) for one in stretches}
        self._following = {one: _following(forest, one) for one in stretches}
        others = chain(*self._siblings.values(), *self._following.values())
        heads = forest.frames.head[[*stretches, *others]].tolist()
        nodes = {*heads, *forest.frames.tail[frames].tolist()} - {-1}
        self._segments = places.segments(self._store, forest.placed, nodes)

    def agents(self, frames: list[int]) -> dict[str, int]:
        """Give the roles of the calls that enter these frames, those with the most calls first."""
        return {self._agent_names[one]: calls for one, calls in self._agents.of(frames).items()}

    def frame(self, one: Shown) -> Frame:
        """Make the facts of one frame, or of several in one."""
        forest, frames, frame = self._forest, self._forest.frames, one.frames[0]
        agents = tuple(self.agents(one.frames))
        above = int(frames.parent[frame])
        place = None if one.merged or not frame else self._place
        head, tail = int(frames.head[frame]), int(frames.tail[frame])
        return Frame(
            kind="others" if one.merged else "stretch" if frame else "all",
            address=forest.address(above if one.merged else frame),
            parent=one.parent,
            level=one.level,
            branches=len(one.frames),
            first=place and place(head),
            last=place and place(tail),
            tokens=forest.length(frame) if place else 0,
            calls=int(frames.calls[one.frames].sum()),
            sessions=None if one.merged else len(self._sessions.of(one.frames)),
            agents=agents[:MOST_AGENTS],
            agents_left_out=len(agents[MOST_AGENTS:]),
            # what follows merged frames is merged with them
            own=_width(frames, frames.below if one.merged else frames.own, one.frames),
            below=_width(frames, frames.below, one.frames),
            start=self._start(frame) if place else None,
            hidden=one.hidden,
        )

    def _place(self, node: int) -> places.Place:
        return places.place(self._forest.placed, node, self._segments[node])

    def _start(self, frame: int) -> places.Start | None:
        return places.start(
            self._at_head(frame),
            [self._at_head(one) for one in self._siblings[frame]],
            [self._at_head(one) for one in self._following[frame]],
        )

    def _at_head(self, frame: int) -> Segment:
        return self._segments[int(self._forest.frames.head[frame])]


def _siblings(forest: Forest, frame: int) -> list[int]:
    """Return some siblings to compare a frame's text with."""
    family = forest.children[int(forest.frames.parent[frame])]
    return [one for one in family[: MOST_COMPARED + 1] if one != frame][:MOST_COMPARED]


def _following(forest: Forest, frame: int) -> Sequence[int]:
    """Return two frames that part inside the segment in which this frame begins, if any do."""
    head, tail = int(forest.frames.head[frame]), int(forest.frames.tail[frame])
    same = forest.placed.index[head] == forest.placed.index[tail]
    return forest.children[frame][:2] if same and forest.placed.inside[tail] else ()


def _labels(forest: Forest, column: str) -> tuple[list[str], Passing]:
    """Return the values of a column, and by their numbers which of them pass each frame."""
    values = forest.calls[column].fill_null("unknown")
    names: list[str] = values.unique(maintain_order=True).to_list()
    number = values.replace_strict(names, range(len(names)), return_dtype=pl.Int64)
    return names, passing(forest.frames, number.to_numpy())


def _width(found: Frames, sums: Sums, frames: Sequence[int]) -> Width:
    usd = Decimal(int(sums.missed_pico_usd[frames].sum())).scaleb(-PICO)
    return Width(
        sent_tokens=int(sums.sent[frames].sum()),
        cached_tokens=int(sums.cached[frames].sum()),
        missed_tokens=int(sums.missed[frames].sum()),
        unreported_tokens=int(sums.unreported[frames].sum()),
        missed_usd=usd if found.priced_calls[frames].any() else None,
    )
