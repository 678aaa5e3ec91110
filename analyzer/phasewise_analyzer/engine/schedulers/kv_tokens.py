"""SGLang's KV cache under concurrent requests: a pool of pages, and the prefix tree in it.

A page belongs to the tree, to one request, or to nobody. What a request has computed becomes the
tree's when it is published; what the tree has already is given back.

Rules (SGLang 0.5.23, srt/mem_cache: allocation, common, allocator/base):
- a prefill step evicts until its tokens are free, and one page more per request where pages hold
  several tokens; a decode step evicts until a page per sequence is free, even where it needs none;
- a decode step that finds too few pages for the sequences that begin one cannot run.
"""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from phasewise_analyzer.engine.caches.radix_tree import Node, RadixTree
from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_analyzer.engine.schedulers.sequence import Sequence

OWN = 1 << 32
"""tokens that nobody else has are numbered from minus the sequence's number times this"""
WIDEST = 1 << 20
"""tokens that one id of a prompt may stand for"""


@dataclass(slots=True, eq=False)
class Row:
    """The KV cache of one admitted sequence."""

    prompt: TokenIds
    """its tokens that others may share"""
    node: Node
    """end of the locked path"""
    kept: int = 0
    """its tokens that are the tree's"""
    length: int = 0
    """its tokens that have a place"""
    unpublished: int = 0
    """tokens read up to here are published when the next token comes out; 0 is nothing"""


class KvTokens:
    """The KV cache of one engine that started cold; `pages` is None where there are always enough.

    Without `caching` nothing is shared, and all is given back when a request ends.
    """

    def __init__(self, pages: int | None, page_tokens: int, *, caching: bool) -> None:
        self.page = page_tokens
        self.caching = caching
        self._capacity = math.inf if pages is None else pages * page_tokens
        self._own = 0
        """tokens in the pages that requests own"""
        self._tree = RadixTree(page_tokens, evicts=pages is not None)
        self._root = self._tree.root()
        self._numbers: dict[Hashable, int] = {}

    @property
    def free(self) -> float:
        """Tokens in pages that nobody has."""
        return self._capacity - self._own - self._tree.kept_tokens

    @property
    def room(self) -> float:
        """Tokens that are free or can be evicted."""
        return self.free + self._tree.evictable_tokens

    @property
    def pages_in_use(self) -> int:
        """Pages that admitted sequences own or have locked."""
        return (self._own + self._tree.locked_tokens) // self.page

    def pages(self, tokens: int) -> int:
        """Return the pages of so many tokens."""
        return -(-tokens // self.page)

    def allowed(self, sequence: Sequence) -> int:
        """Return the output tokens after which a sequence is cut off."""
        prompt = self.pages(sequence.request.input_tokens) * self.page
        most = self._capacity - prompt - self.page - 1
        return int(min(sequence.request.most_output_tokens, most))

    def row(self, sequence: Sequence) -> Row:
        """Return an empty row for a sequence."""
        return Row(self._prompt(sequence), self._root)

    def lookup(self, sequence: Sequence) -> int:
        """Return the tokens of a sequence that are cached, and touch nothing."""
        if not self.caching:
            return 0
        return self._tree.lookup(self._root, self._matched_key(sequence, self._prompt(sequence)))

    def match(self, sequence: Sequence, row: Row) -> int:
        """Lock the cached start of a sequence, at least one token left over; return its length."""
        if not self.caching:
            return 0
        key = self._matched_key(sequence, row.prompt)
        row.node, row.kept = self._tree.walk(self._root, key)
        row.length = row.kept
        self._tree.lock(row.node)
        return row.kept

    def unlock(self, row: Row) -> None:
        """Give up what `match` has locked."""
        if self.caching:
            self._tree.unlock(row.node)

    def touch(self, sequence: Sequence, row: Row) -> None:
        """Have what is cached of a waiting sequence evicted later."""
        self._tree.walk(self._root, self._tree.key(self._tokens(sequence, row, sequence.total)))

    def read(self, rows: Iterable[tuple[Row, int]]) -> None:
        """Find places for prompts, each up to a length, in one step."""
        rows = list(rows)
        spare = self.page if self.page > 1 else 0
        self.make_room(sum(end - row.length + spare for row, end in rows))
        for row, end in rows:
            self._grow(row, end)

    def decodes(self, rows: Iterable[Row]) -> bool:
        """Evict for a decode step of these rows; tell whether it can run."""
        needed = self.page * sum(row.length % self.page == 0 for row in rows)
        self.make_room(needed)
        return self.free >= needed

    def decode(self, rows: list[Row], steps: int) -> None:
        """Find places for one token of each row in so many steps."""
        before_last = self._pages_begun(rows, steps - 1)
        self.make_room(self.page * (len(rows) + before_last))
        for row in rows:
            self._grow(row, row.length + steps)

    def decode_steps(self, rows: list[Row], most: int) -> int:
        """Return for how many steps, at most, every row finds a place."""
        if self._pages_begun(rows, most) * self.page <= self.room:
            return most
        low, high = 0, most
        while high - low > 1:
            middle = (low + high) // 2
            fits = self._pages_begun(rows, middle) * self.page <= self.room
            low, high = (middle, high) if fits else (low, middle)
        return low

    def publish(self, sequence: Sequence, row: Row, tokens: int) -> None:
        """Give the tree what a sequence has computed, so that others can share it."""
        if not self.caching:
            return
        ids = self._tokens(sequence, row, tokens)
        node = self._tree.insert(self._root, ids)
        whole = self._tree.whole(tokens)
        if 0 < self._tree.whole(sequence.request.input_tokens) < whole:
            # a node ends where the prompt does, so that the output can be evicted without it
            self._tree.insert(self._root, ids[: sequence.request.input_tokens])
        self._tree.unlock(row.node)
        self._tree.lock(node)
        self._own -= whole - row.kept
        row.node, row.kept = node, whole

    def release(self, row: Row) -> None:
        """Free what a row owns, and unlock what it shares."""
        self._own -= self.pages(row.length) * self.page - row.kept
        self.unlock(row)

    def make_room(self, tokens: int) -> None:
        """Evict until so many tokens are free, or nothing is left that nobody uses."""
        if self.free < tokens:
            self._tree.evict(tokens - int(self.free))

    def _grow(self, row: Row, length: int) -> None:
        self._own += (self.pages(length) - self.pages(row.length)) * self.page
        row.length = length

    def _pages_begun(self, rows: Iterable[Row], steps: int) -> int:
        """Return how many pages rows take in so many decode steps."""
        return sum(self.pages(row.length + steps) - self.pages(row.length) for row in rows)

    def _matched_key(self, sequence: Sequence, prompt: TokenIds) -> TokenIds:
        ids = _with_own(sequence, prompt, sequence.total)
        return self._tree.key(ids[: sequence.total - 1])

    def _tokens(self, sequence: Sequence, row: Row, tokens: int) -> TokenIds:
        return _with_own(sequence, row.prompt, tokens)

    def _prompt(self, sequence: Sequence) -> TokenIds:
        """Return an id for each token that others may share: equal ids mean an equal prefix."""
        request = sequence.request
        size = request.digest_tokens or self.page
        numbers = self._numbers
        found = [numbers.setdefault(one, len(numbers)) for one in request.digests]
        blocks = np.array(found, dtype=np.int64)[:, None] * WIDEST
        ids: TokenIds = (blocks + np.arange(size, dtype=np.int64)).ravel()
        return ids[: request.input_tokens]


def _with_own(sequence: Sequence, prompt: TokenIds, tokens: int) -> TokenIds:
    """Return ids of a sequence's first tokens: past the known ones they are nobody else's."""
    if tokens <= len(prompt):
        return prompt[:tokens]
    first = -(sequence.index + 1) * OWN
    own = np.arange(first + len(prompt), first + tokens, dtype=np.int64)
    return np.concatenate((prompt, own))
