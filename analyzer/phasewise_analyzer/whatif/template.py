"""What texts from one template have in common, in order, and what is specific to each.

Words and the whitespace between them are compared. A template is narrowed by one text after another
until no text narrows it any more: then every text is the template with its own words inserted.
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from phasewise_store.trie import shared_length

Words = tuple[str, ...]

LARGEST = 4_000_000
"""pairs of words that are compared; larger stretches that differ are taken to have nothing alike"""

_WORDS = re.compile(r"[^\s<>\"'`(),;\[\]{}|]+|\s+|[<>\"'`(),;\[\]{}|]")
"""a date, a time, a path, an id are one word each"""

LINE_CHARACTERS = 200
"""a longer line is not moved as a whole"""


def words(text: str) -> Words:
    """Cut a text so that its parts, joined, are the text."""
    return tuple(_WORDS.findall(text))


def templates(texts: Sequence[str], least_share: float) -> list[tuple[Words, tuple[str, ...]]]:
    """Group texts by template, each with its texts; of every text at least this share is in it.

    The share is of characters. A text that is like no other is its own template.
    """
    groups: list[tuple[Words, list[str]]] = []
    for text in dict.fromkeys(texts):
        own = words(text)
        for place, (shared, members) in enumerate(groups):
            narrowed = common(shared, own)
            longest = max(len(text), *map(len, members))
            if _characters(narrowed) >= least_share * longest:
                groups[place] = narrowed, [*members, text]
                break
        else:
            groups.append((own, [text]))
    return [(_settled(shared, members), tuple(members)) for shared, members in groups]


def common(one: Words, two: Words) -> Words:
    """Return words that both have, in order."""
    kept: Words = ()
    at = 0
    for start, end in _own(one, two):
        kept += one[at:start]
        at = end
    return kept + one[at:]


def own_stretches(text: str, shared: Words) -> list[str]:
    """Return the text outside the template's words; the whole line if it is short."""
    every = words(text)
    found: list[str] = []
    done = 0
    for start, end in _own(every, shared):
        if start < done:
            continue  # on a line that is there already
        own = " ".join(filter(None, map(str.strip, every[start:end])))
        if own:
            first, done = _line(every, start, end)
            whole = "".join(every[first:done]).strip()
            found.append(whole if len(whole) <= LINE_CHARACTERS else own)
            done = done if len(whole) <= LINE_CHARACTERS else end
    return found


def _line(every: Words, start: int, end: int) -> tuple[int, int]:
    """Return the words of the lines that a stretch is on."""
    while start > 0 and "\n" not in every[start - 1]:
        start -= 1
    while end < len(every) and "\n" not in every[end]:
        end += 1
    return start, end


def _settled(shared: Words, members: Sequence[str]) -> Words:
    while True:
        narrowed = shared
        for text in members:
            narrowed = common(narrowed, words(text))
        if narrowed == shared:
            return shared
        shared = narrowed


def _own(one: Words, two: Words) -> list[tuple[int, int]]:
    """Return the stretches of the first that are not matched in the second."""
    start = shared_length(one, two)
    left, right = one[start:], two[start:]
    tail = shared_length(left[::-1], right[::-1])
    left, right = left[: len(left) - tail], right[: len(right) - tail]
    if not left or not right or len(left) * len(right) > LARGEST:
        return [(start, start + len(left))] if left else []
    found = []
    at = start
    for block in SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks():
        if at < start + block.a:
            found.append((at, start + block.a))
        at = start + block.a + block.size
    return found


def _characters(some: Words) -> int:
    return sum(map(len, some))
