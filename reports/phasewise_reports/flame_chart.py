"""The places of a flame graph's frames, in SVG units, with their words; templates draw them.  Pure.

Depth goes downwards. Each frame's colours split its width: cached, missed, hatched where no source
reports whether it was cached, and, without a colour, what was sent for the first time.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from phasewise_analyzer.flame.facts import Flame, Frame, Measure, Width
from phasewise_analyzer.flame.places import Place

from phasewise_reports.words import count, tokens, usd

Link = Callable[[str], str]
"""gives the address of the page whose topmost frame is the one of this address"""

WIDTH, ROW, GAP = 1344, 22, 1
LEAST = 0.4
"""what is narrower is not drawn"""
CHARACTER = 6.4
"""mean width of one at the labels' size"""
FEWEST_CHARACTERS = 6
MOST_ABOVE = 3
"""frames above the topmost that are drawn, beside the first"""

_CONTENT = re.compile(r'^(?:.{0,60}?(?:content|text)|\w{0,7})":"')
_END = re.compile(r'"(?:\}\])?\}$')
_BEGUN = re.compile(r"\w+$")
_WHITE = re.compile(r"(?:\s|\\n)+")


@dataclass(frozen=True, slots=True)
class Fill:
    """A coloured part of a frame."""

    colour: str
    """c cached, p missed, u cache not reported"""
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One frame."""

    kind: str
    """all, stretch, others; above where it is on the way to the topmost"""
    x: float
    y: float
    width: float
    fills: tuple[Fill, ...]
    label: str
    """as much as fits; may be empty"""
    title: str
    href: str | None
    """None where there is nothing more to see"""


@dataclass(frozen=True, slots=True)
class FlameChart:
    """Frames under frames."""

    label: str
    bars: tuple[Bar, ...]
    height: int
    width: int = WIDTH
    row: int = ROW - GAP


def flame_chart(flame: Flame, link: Link) -> FlameChart | None:
    """Place the frames; None where nothing has a width in this measure."""
    top = flame.frames[0]
    whole = top.below.of(flame.measure)
    if not whole:
        return None
    above = list(_above(flame, link))
    first_row = len(above)
    bars = above
    # where the next child of each frame begins, in the measure: exact, so that no gap adds up
    used = {-1: Decimal(0)}
    for place, frame in enumerate(flame.frames):
        start = used[frame.parent]
        size = frame.below.of(flame.measure)
        used[place] = start
        used[frame.parent] = start + size
        width = float(size / whole) * WIDTH
        if width >= LEAST:
            y = (first_row + frame.level) * ROW
            bars.append(_bar(flame, frame, link, x=float(start / whole) * WIDTH, y=y, width=width))
    rows = first_row + 1 + max(frame.level for frame in flame.frames)
    return FlameChart(
        f"prompts of {count(top.calls)} calls, branching where they differ; width is "
        f"{MEASURES[flame.measure]}",
        tuple(bars),
        rows * ROW,
    )


MEASURES: dict[Measure, str] = {
    "sent": "tokens sent",
    "missed": "tokens missed",
    "usd": "dollars missed",
}


def _above(flame: Flame, link: Link) -> Iterator[Bar]:
    """Draw the way to the topmost frame over the full width: the first and the last few."""
    way = flame.above
    left_out = max(0, len(way) - 1 - MOST_ABOVE)
    chosen = (*way[:1], *way[1 + left_out :])
    for place, frame in enumerate(chosen):
        more = f"   ({left_out} between)" if left_out and not place else ""
        label = f"↑ {_names(frame)[0]}"
        title = _title(frame)
        yield Bar("above", 0, place * ROW, WIDTH, (), label + more, title, link(frame.address))


def _bar(flame: Flame, frame: Frame, link: Link, *, x: float, y: float, width: float) -> Bar:
    # opening `others` opens the frame above them, where they are wider: unless that is open already
    leads = frame.parent > 0 or (frame.parent == 0 and frame.kind == "stretch")
    return Bar(
        kind=frame.kind,
        x=round(x, 2),
        y=y,
        width=round(max(width - GAP, LEAST), 2),
        fills=tuple(_fills(flame.measure, frame.below, x, width - GAP)),
        label=_label(frame, width),
        title=_title(frame),
        href=link(frame.address) if leads else None,
    )


def _fills(measure: Measure, split: Width, x: float, width: float) -> Iterator[Fill]:
    if width < LEAST:
        return
    if measure != "sent":
        yield Fill("p", round(x, 2), round(width, 2))
        return
    parts = (("c", split.cached_tokens), ("p", split.missed_tokens), ("u", split.unreported_tokens))
    for colour, part in parts:
        size = part / split.sent_tokens * width
        if size >= LEAST:
            yield Fill(colour, round(x, 2), round(size, 2))
        x += size


def _label(frame: Frame, width: float) -> str:
    """Return the longest name that fits; of a text, as much as does."""
    names = _names(frame)
    room = int((width - 10) / CHARACTER)
    fitting = [name for name in names if len(name) <= room]
    if fitting:
        return fitting[0]
    if frame.start is None or room < FEWEST_CHARACTERS:
        return ""
    return names[0][: room - 1].rstrip() + "…"


def _names(frame: Frame) -> tuple[str, ...]:
    """Return the words that may stand in a frame, the longest first."""
    if frame.kind == "all":
        return ("all prompts",)
    if frame.kind == "others":
        others = f"{frame.branches:,} other{'s' if frame.branches > 1 else ''}"
        return (others, f"+{frame.branches:,}")
    if frame.start is not None and (words := wording(frame.start.text)).strip():
        return ((_begun_word(frame.start.shared) + words).strip(),)
    place = where(frame)
    return (place, place.removeprefix("blocks ").replace(" to ", "–"))  # noqa: RUF001  # a range


def _begun_word(shared: str) -> str:
    """Give the letters before the place where texts part: without them a label is hard to read."""
    found = _BEGUN.search(shared)
    return found[0] if found else ""


def wording(text: str) -> str:
    """Return a text in one line, without the JSON that stands before a message's words."""
    return _WHITE.sub(" ", _END.sub("", _CONTENT.sub("", text)).replace('\\"', '"'))


def where(frame: Frame) -> str:
    """Return the place of a frame in the prompt in words."""
    if frame.first is None or frame.last is None:
        return _names(frame)[0]
    first, last = frame.first, frame.last
    if first.tier == "blocks" and first.index != last.index:
        return f"blocks {first.index:,} to {last.index:,}"
    if first == last:
        return _segment(first)
    return f"{_segment(first)} to {_segment(last)}"


def _segment(place: Place) -> str:
    name = {
        "tools": "tool",
        "system": "system",
        "messages": f"{place.role or ''} message".strip(),
        "text": "text",
        "blocks": "block",
    }[place.tier]
    return f"{name} {place.index:,}"


def _title(frame: Frame) -> str:
    agents = ", ".join(frame.agents) + (
        f" and {frame.agents_left_out:,} more" if frame.agents_left_out else ""
    )
    whole = frame.below
    lines = [where(frame)]
    if frame.start is not None:
        shared = wording(frame.start.shared)
        lines.append(f"{shared and f'…{shared}|'}{wording(frame.start.text)}")
    sessions = "" if frame.sessions is None else f", {count(frame.sessions)} sessions"
    lines.append(f"{count(frame.calls)} calls{sessions}: {agents}")
    if frame.kind == "stretch":
        lines.append(f"{tokens(frame.tokens)} tokens long")
    lines.append(
        f"including branches: {tokens(whole.sent_tokens)} tokens sent, "
        f"{tokens(whole.cached_tokens)} cached, {tokens(whole.missed_tokens)} missed"
        + (f" for $ {usd(whole.missed_usd)} more" if whole.missed_usd is not None else "")
        + f", {tokens(whole.unreported_tokens)} sent before with no cache reported"
    )
    if frame.hidden:
        lines.append(f"{count(frame.hidden)} more branches; open the frame to see them")
    return "\n".join(lines)
