"""Find what happened to the tools of a prompt: reordered, added, removed or edited."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.content_changes import compare, first_place
from phasewise_analyzer.diagnosis.finding import Finding, shown
from phasewise_analyzer.diagnosis.parts import Part, tool_name

_PROSE = ("description", "title")
"""fields of a definition whose words may hold a date or an id; other fields are its meaning"""
_VALUES = frozenset(
    {causes.CLOCK, causes.UNIQUE_ID, causes.COUNTER, causes.ENVIRONMENT, causes.TENANT}
)
_SAME = frozenset({causes.KEY_ORDER, causes.WHITESPACE, causes.REWRITTEN, causes.RE_RENDERED})


def of_tools(old: Sequence[Part], new: Sequence[Part], place: int) -> Finding:
    """Compare the tools of two prompts, of which at least one has a tool at `place`."""
    was = [part for part in old if part.segment.kind == "tool"]
    now = [part for part in new if part.segment.kind == "tool"]
    before = was[place] if place < len(was) else None
    after = now[place] if place < len(now) else None
    if Counter(part.key for part in was) == Counter(part.key for part in now):
        return Finding(causes.TOOLS_REORDERED, _name(before), _name(after))
    olds, news = Counter(map(_name, was)), Counter(map(_name, now))
    gone, come = olds - news, news - olds
    if after is not None and _name(after) in come and (before is None or _name(before) not in gone):
        return Finding(causes.TOOL_ADDED, "", _names(come))
    if before is not None and _name(before) in gone and (after is None or _name(after) not in come):
        return Finding(causes.TOOL_REMOVED, _names(gone), "")
    if before is None or after is None:
        # one name twice, or the tools of another order with one of them changed
        return Finding(
            causes.TOOL_ADDED if before is None else causes.TOOL_REMOVED,
            _name(before),
            _name(after),
        )
    if _name(before) != _name(after) and not gone and not come:
        return Finding(causes.TOOLS_REORDERED, _name(before), _name(after))
    return _of_one(before, after)


def _of_one(before: Part, after: Part) -> Finding:
    found = compare(before.value, after.value)
    if found is not None and found.cause in _SAME:
        return found
    if found is not None and found.cause in _VALUES and found.path.endswith(_PROSE):
        return found
    return replace(first_place(before.value, after.value), cause=causes.TOOL_EDITED)


def _name(part: Part | None) -> str:
    if part is None:
        return ""
    return tool_name(part.value) or part.segment.digest.hex()[:8]


def _names(names: Counter[str]) -> str:
    return shown(", ".join(sorted(names)))
