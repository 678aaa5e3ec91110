"""The texts that one model has read behind one prompt, in order: neighbours share the most.

A prompt that leaves all paths inside a message shares a part of it with some of them. Of texts in
sorted order, those next to a new one share the longest beginning with it, so one search and a few
comparisons find it among any number.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from phasewise_store import reads
from phasewise_store.facts import Segment
from phasewise_store.store import Store
from phasewise_store.trie import shared_length

from phasewise_analyzer.prefixes.shared_text import common_tokens

MOST_REMEMBERED_CHARACTERS = 32 << 20
MOST_NEIGHBOURS = 4
"""on each side, where several share equally many characters: a piece may go on in one of them"""

Key = tuple[str, str, str]
"""kind, role, text: texts of another kind or role share nothing"""


class Texts:
    """Segments by number, read when they are asked for and kept for a while."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[int, Segment] = {}
        self._keys: dict[int, Key] = {}
        self._characters = 0

    def read(self, numbers: Iterable[int]) -> None:
        """Read many at once."""
        wanted = [number for number in numbers if number not in self._keys]
        if not wanted:
            return
        for number, segment in reads.segments(self._store, wanted).items():
            text = (segment.content or b"").decode("utf-8", "surrogatepass")
            if self._characters > MOST_REMEMBERED_CHARACTERS:
                self._read.clear()
                self._keys.clear()
                self._characters = 0
            self._read[number] = segment
            self._keys[number] = segment.kind, segment.role or "", text
            self._characters += len(text)

    def segment(self, number: int) -> Segment:
        """Give a segment."""
        self.key(number)
        return self._read[number]

    def key(self, number: int) -> Key:
        """Give what a segment is sorted by."""
        if number not in self._keys:
            self.read([number])
        return self._keys[number]


class Siblings:
    """The segments that stand at one place, sorted when it is asked for."""

    def __init__(self, texts: Texts, segments: Iterable[int]) -> None:
        self._texts = texts
        self._sorted: list[int] = []
        self._added = list(segments)

    def add(self, segment: int) -> None:
        """Add one that is not there yet."""
        self._added.append(segment)

    def common_tokens(self, segment: int) -> int:
        """Give the tokens of the longest beginning that a segment shares with one of them."""
        self._sort()
        texts = self._texts
        place = bisect_left(self._sorted, texts.key(segment), key=texts.key)
        near = [*self._near(segment, place, -1), *self._near(segment, place, 1)]
        longest = max((length for length, _ in near), default=0)
        own = texts.segment(segment)
        return max(
            (
                common_tokens(own, texts.segment(other))
                for length, other in near
                if length == longest > 0
            ),
            default=0,
        )

    def _near(self, segment: int, place: int, way: int) -> Iterator[tuple[int, int]]:
        """Give neighbours on one side with the characters they share, while those are no fewer."""
        *head, text = self._texts.key(segment)
        longest = 0
        first = place - 1 if way < 0 else place
        for at in range(first, first + way * MOST_NEIGHBOURS, way):
            if not 0 <= at < len(self._sorted):
                return
            *others, other = self._texts.key(self._sorted[at])
            length = shared_length(text, other) if head == others else 0
            if not length or length < longest:
                return
            longest = length
            yield length, self._sorted[at]

    def _sort(self) -> None:
        """Put what was added in its place."""
        added, self._added = self._added, []
        self._texts.read(added)
        if len(added) > len(self._sorted):
            self._sorted = sorted([*self._sorted, *added], key=self._texts.key)
            return
        for segment in added:
            insort(self._sorted, segment, key=self._texts.key)
