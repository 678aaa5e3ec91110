"""The texts that one model has read behind one prompt, in order: neighbours share the most.

A prompt that leaves all paths inside a message shares a part of it with some of them. Of texts in
sorted order, those next to a new one share the longest beginning with it, so one search and a few
comparisons find it among any number. What is sorted are the texts' heads; texts with the same head
are sorted among themselves, and read from the store when a search comes by.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from phasewise_store import reads
from phasewise_store.store import Store
from phasewise_store.trie import shared_length

from phasewise_analyzer.prefixes.shared_text import MARGIN_CHARACTERS, common_tokens

MOST_REMEMBERED_CHARACTERS = 16 << 20
MOST_NEIGHBOURS = 4
"""on each side, where several share equally many characters: a piece may go on in one of them"""
AT_ONCE = 200
"""texts read together"""
T = TypeVar("T")
_HEAD_CHARACTERS = MARGIN_CHARACTERS + 128

Text = tuple[str, str, str]
"""kind, role and the text itself: texts of another kind or role share nothing"""
Shared = tuple[int, int]
"""tokens that two texts begin with, and the other one's segment; (0, 0) where none is alike"""


class Texts:
    """Texts of segments, read when they are asked for and kept for a while."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, Text] = {}
        self._characters = 0

    def read(self, numbers: Iterable[int]) -> None:
        """Read many at once; those read longest ago make room."""
        wanted = [number for number in numbers if number not in self._known]
        if not wanted:
            return
        for number, segment in reads.segments(self._store, wanted).items():
            text = (segment.content or b"").decode("utf-8", "surrogatepass")
            self._known[number] = segment.kind, segment.role or "", text
            self._characters += len(text)
        while self._characters > MOST_REMEMBERED_CHARACTERS and len(self._known) > AT_ONCE:
            self._characters -= len(self._known.pop(next(iter(self._known)))[-1])

    def of(self, number: int) -> Text:
        """Return one."""
        if number not in self._known:
            self.read([number])
        return self._known[number]


class Siblings:
    """The segments that stand at one place."""

    def __init__(self, texts: Texts, segments: Iterable[int]) -> None:
        self._texts = texts
        self._heads: list[Text] = []
        self._of_head: dict[Text, list[int]] = {}
        """the segments that begin so, sorted by their text"""
        self._added = list(segments)
        self._count = 0

    def __len__(self) -> int:
        return self._count + len(self._added)

    def add(self, segment: int) -> None:
        """Add one that is not there yet."""
        self._added.append(segment)

    def nearest(self, segment: int) -> Shared:
        """Return the longest beginning that a segment shares with one of them, and with which."""
        self._sort()
        own = self._texts.of(segment)
        head = _head(own)
        alike = self._of_head.get(head)
        if alike is not None:
            place = bisect_left(alike, own, key=self._texts.of)
            return _most(own, [(self._texts.of(one), one) for one in _around(alike, place)])
        place = bisect_left(self._heads, head)
        near = [(other, self._of_head[other][0]) for other in _around(self._heads, place)]
        longest = max((_shared(head, other) for other, _ in near), default=0)
        if longest + MARGIN_CHARACTERS > _HEAD_CHARACTERS:  # the heads do not tell all
            near = [(self._texts.of(one), one) for _, one in near]
        return _most(own, near)

    def _sort(self) -> None:
        """Put what was added in its place."""
        added, self._added = self._added, []
        self._count += len(added)
        new: list[Text] = []
        for start in range(0, len(added), AT_ONCE):
            some = added[start : start + AT_ONCE]
            self._texts.read(some)
            for segment in some:
                head = _head(self._texts.of(segment))
                if head not in self._of_head:
                    self._of_head[head] = []
                    new.append(head)
                insort(self._of_head[head], segment, key=self._texts.of)
        if len(new) > AT_ONCE:
            self._heads = sorted([*self._heads, *new])
        else:
            for head in new:
                insort(self._heads, head)


def _head(text: Text) -> Text:
    return text[0], text[1], text[2][:_HEAD_CHARACTERS]


def _around(entries: Sequence[T], place: int) -> Iterator[T]:
    """Return the entries next to a place, nearest first on each side."""
    yield from reversed(entries[max(0, place - MOST_NEIGHBOURS) : place])
    yield from entries[place : place + MOST_NEIGHBOURS]


def _shared(one: Text, other: Text) -> int:
    return shared_length(one[2], other[2]) if one[:2] == other[:2] else 0


def _most(own: Text, near: Sequence[tuple[Text, int]]) -> Shared:
    """Return the tokens shared with those that share the most characters."""
    shared = [(_shared(own, other), other, segment) for other, segment in near]
    longest = max((length for length, _, _ in shared), default=0)
    found = [
        (common_tokens(own[2], other[2]), segment)
        for length, other, segment in shared
        if length == longest > 0
    ]
    return max(found, default=(0, 0))
