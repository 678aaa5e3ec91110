"""Find the first difference between two texts: the smallest run of whole words on either side."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise, zip_longest

from phasewise_store.trie import shared_length

WINDOW_WORDS = 400
"""read behind the first difference to find where the texts agree again"""
WINDOW_CHARACTERS = 12 * WINDOW_WORDS
"""in which they mostly stand, and can be found at once"""
AGREEING_WORDS = 3
"""in a row, that count as agreeing again"""
LINE_CHARACTERS = 200
"""of the line around a difference that are read on either side"""

REMEMBERED = 16
"""pairs of texts: one diagnosis asks several times of the same"""
WIDEST_CHARACTERS = 40
"""on either side that are shown with what differs"""
_ENDS = frozenset("\"'`<>(){}[],;|")
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Hunk:
    """The first stretch that differs."""

    old: str
    """the whole text before"""
    new: str
    start: int
    """characters that both share, back to the start of the word in which they part"""
    old_end: int
    new_end: int

    @property
    def before(self) -> str:
        """What stood there."""
        return self.old[self.start : self.old_end]

    @property
    def after(self) -> str:
        """What stands there now."""
        return self.new[self.start : self.new_end]


def whole_values(hunk: Hunk) -> tuple[str, str]:
    """Return what differs, widened to all that is written together with it: a date, not its day."""
    start = hunk.start
    while hunk.start - start < WIDEST_CHARACTERS and _is_inside(hunk.old, start - 1):
        start -= 1
    found = []
    for text, end in ((hunk.old, hunk.old_end), (hunk.new, hunk.new_end)):
        stop = end
        while stop - end < WIDEST_CHARACTERS and _is_inside(text, stop):
            stop += 1
        found.append(text[start:stop])
    return found[0], found[1]


def _is_inside(text: str, place: int) -> bool:
    return 0 <= place < len(text) and not text[place].isspace() and text[place] not in _ENDS


@lru_cache(maxsize=REMEMBERED)
def first_hunk(old: str, new: str) -> Hunk:
    """Compare two texts that differ."""
    start = shared_length(old, new)
    while start > 0 and (old[start - 1].isalnum() or old[start - 1] == "_"):
        start -= 1
    olds, news = _words(old, start), _words(new, start)
    seen: dict[tuple[str | None, ...], int] = {}
    for place, run in enumerate(_runs(olds)):
        seen.setdefault(run, place)
    found: tuple[int, int, int] | None = None
    for place, run in enumerate(_runs(news)):
        if found is not None and place >= found[0]:
            break
        other = seen.get(run)
        if other is not None and (found is None or place + other < found[0]):
            found = (place + other, other, place)
    if found is None:
        tail = _common_tail(old, new, start)
        return Hunk(old, new, start, len(old) - tail, len(new) - tail)
    return Hunk(old, new, start, _end(old, start, found[1]), _end(new, start, found[2]))


def middles(old: str, new: str) -> tuple[str, str]:
    """Return each text without what both begin with and end with."""
    start = shared_length(old, new)
    tail = _common_tail(old, new, start)
    return old[start : len(old) - tail], new[start : len(new) - tail]


def likeness(old: str, new: str) -> float:
    """Return the share of pairs of neighbouring words that two texts have in common; 0 to 1.

    Pairs, since any two texts of one language share their little words.
    """
    olds, news = (Counter(pairwise(["", *_WORD.findall(text), ""])) for text in (old, new))
    total = olds.total() + news.total()
    return 2 * (olds & news).total() / total if total else 1.0


def _common_tail(old: str, new: str, start: int) -> int:
    return shared_length(old[start:][::-1], new[start:][::-1])


def _words(text: str, start: int) -> list[str]:
    """Return the words behind a place, and an empty one at the end of the text."""
    near = _WORD.findall(text, start, start + WINDOW_CHARACTERS)
    if len(near) > WINDOW_WORDS:  # the last one, which may be cut, is not among the first ones
        return near[:WINDOW_WORDS]
    words = [word[0] for word in islice(_WORD.finditer(text, start), WINDOW_WORDS + 1)]
    return words[:WINDOW_WORDS] if len(words) > WINDOW_WORDS else [*words, ""]


def _runs(words: list[str]) -> Iterator[tuple[str | None, ...]]:
    """Return from each place the words that must agree; there are none behind the last one."""
    return zip_longest(*(words[place:] for place in range(AGREEING_WORDS)))


def _end(text: str, start: int, words: int) -> int:
    """Return where so many words behind a place end."""
    if not words:
        return start
    return next(islice(_WORD.finditer(text, start), words - 1, None)).end()
