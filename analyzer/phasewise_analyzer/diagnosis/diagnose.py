"""Find why one prompt stopped matching another: the place, the cause, the differing texts.

Both prompts are segments in the order the model reads them: tools, system, messages. `diagnose` is
for two calls of one conversation, `across.diagnose_across` for calls of two, and
`settings.settings_changed` for changes outside the prompt.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from phasewise_store.facts import Segment
from phasewise_store.trie import shared_length

from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.alignment import Alignment, align
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.diagnosis.finding import Finding
from phasewise_analyzer.diagnosis.hidden_changes import of_hidden
from phasewise_analyzer.diagnosis.history_changes import of_history
from phasewise_analyzer.diagnosis.parts import Part, Tier, parts, text_of, tool_name
from phasewise_analyzer.diagnosis.raw_changes import of_raw
from phasewise_analyzer.diagnosis.spans import first_hunk
from phasewise_analyzer.diagnosis.system_changes import of_system
from phasewise_analyzer.diagnosis.tool_changes import of_tools

_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Where and why a prompt parts from its predecessor."""

    cause: Cause
    tier: Tier
    segment: int
    """place of the first segment that differs, from 0, in the old prompt"""
    place: str
    """the same in words that equal breaks share: `tool:search`, `system[0]`, `messages[3] user`"""
    path: str
    """where in that segment's JSON, as in `content[0].text`; empty for all of it"""
    before: str
    """the text that stood there, cut short; empty where nothing did, or only a hash is known"""
    after: str
    common_bytes: int
    """of the first segment that differs, how many are still the same"""
    realigned_segments: int
    """segments behind the place that the predecessor had, too: what a repair brings back"""
    realigned_tokens: int
    """estimated tokens of these, and of what stands again in the rest of the segment itself"""


@dataclass(frozen=True, slots=True)
class Parting:
    """Two prompts and the first place at which they differ; both have something there."""

    old: Sequence[Part]
    new: Sequence[Part]
    place: int

    @property
    def before(self) -> Part:
        """What stood there."""
        return self.old[self.place]

    @property
    def after(self) -> Part:
        """What stands there now."""
        return self.new[self.place]

    @property
    def tier(self) -> Tier:
        """The part of the prompt; a system message behind others belongs to the history."""
        kinds = (self.before.segment.kind, self.after.segment.kind)
        if "tool" in kinds:
            return "tools"
        head = all(part.segment.kind in ("tool", "system") for part in self.old[: self.place])
        return "system" if head and "system" in kinds else "messages"

    @property
    def known(self) -> bool:
        """Return whether the texts at the place are known."""
        return self.before.known and self.after.known

    def aligned(self) -> Alignment:
        """Find again what both have behind the place."""
        return align(self.old[self.place :], self.new[self.place :])


def diagnose(old: Sequence[Segment], new: Sequence[Segment]) -> Diagnosis | None:
    """Compare two prompts of one conversation.

    None where the new one only goes on where the old one ended, or ends before it does.
    """
    parting = part_at(*parts(old, new))
    if parting is None:
        return None
    aligned = parting.aligned()
    found = cause_of(parting, aligned)
    return None if found is None else describe(parting, aligned, found)


def part_at(old: Sequence[Part], new: Sequence[Part]) -> Parting | None:
    """Find the first place at which two prompts differ; None where one begins with the other."""
    same = takewhile(lambda pair: pair[0].key == pair[1].key, zip(old, new, strict=False))
    place = sum(1 for _ in same)
    return Parting(old, new, place) if place < min(len(old), len(new)) else None


def cause_of(parting: Parting, aligned: Alignment) -> Finding | None:
    """Return the cause; None where two raw texts only look different where they were cut."""
    if not parting.known:
        return Finding(of_hidden(aligned))
    if parting.tier == "tools":
        return of_tools(parting.old, parting.new, parting.place)
    if parting.before.segment.kind == parting.after.segment.kind == "text":
        return of_raw(aligned.old, aligned.new)
    return of_system(aligned) if parting.tier == "system" else of_history(aligned)


def describe(parting: Parting, aligned: Alignment, found: Finding) -> Diagnosis:
    """Say where it was, and how much stands again behind it."""
    before, after = parting.before, parting.after
    again = Counter(part.key for part in aligned.old) & Counter(part.key for part in aligned.new)
    tokens = {part.key: part.segment.tokens for part in aligned.new}
    inside = 0
    if not again[after.key] and not again[before.key] and parting.known:
        inside = _tokens_again_inside(before, after)
    return Diagnosis(
        cause=found.cause,
        tier=parting.tier,
        segment=before.at,
        place=_label(parting, found.cause),
        path=found.path,
        before=found.before,
        after=found.after,
        common_bytes=_common_bytes(before, after),
        realigned_segments=again.total(),
        realigned_tokens=inside + sum(tokens[key] * count for key, count in again.items()),
    )


def _label(parting: Parting, cause: Cause) -> str:
    tier = parting.tier
    part = parting.before
    if tier == "tools":
        if part.segment.kind != "tool" or cause is causes.TOOL_ADDED:
            part = parting.after
        return f"tool:{tool_name(part.value)}" if part.known else f"tools[{parting.place}]"
    before = [one.segment.kind for one in parting.old[: parting.place]]
    if tier == "system":
        return f"system[{before.count('system')}]"
    head = sum(1 for _ in takewhile(lambda kind: kind in ("tool", "system"), before))
    number = f"messages[{len(before) - head}]"
    return f"{number} {part.segment.role}" if part.segment.role else number


def _common_bytes(before: Part, after: Part) -> int:
    one, two = before.segment.content, after.segment.content
    if one is None or two is None:
        return 0
    # latin-1 gives each byte a character of its own
    return shared_length(one.decode("latin-1"), two.decode("latin-1"))


def _tokens_again_inside(before: Part, after: Part) -> int:
    """Estimate what of a segment stands again behind the first difference in it."""
    old, new = text_of(before.value), text_of(after.value)
    if not new or old == new:
        return 0
    hunk = first_hunk(old, new)
    olds = Counter(_WORD.findall(old[hunk.old_end :]))
    news = Counter(_WORD.findall(new[hunk.new_end :]))
    words = len(_WORD.findall(new[: hunk.new_end])) + news.total()
    return after.segment.tokens * (olds & news).total() // max(1, words)
