"""SGLang's prefix tree: which tokens are cached, which of them are in use, what is evicted next.

Rules (SGLang 0.5.23, srt/mem_cache/unified_radix_cache):
- keys are cut to whole pages; each namespace (extra key, cache salt) has a tree of its own;
- where a walk ends inside a node, the node is split there; every walk touches its path, and what it
  splits off;
- a locked path is not evicted; an eviction takes whole leaves that nobody locks, the one touched
  longest ago first; a parent left without children is a leaf.

`RadixPrefixCache` serves one request after another with it, `SglangScheduler` many at once.
"""

import heapq
from itertools import count

import numpy as np

from phasewise_analyzer.engine.caches.token_ids import TokenIds

_NOTHING = np.empty(0, dtype=np.int64)


class Node:
    """A stretch of tokens that is cached, below what comes before it."""

    __slots__ = ("children", "parent", "tokens", "touched", "users")

    def __init__(self, tokens: TokenIds, parent: "Node | None") -> None:
        self.tokens = tokens
        self.parent = parent
        self.children: dict[bytes, Node] = {}
        """by the bytes of their first page"""
        self.touched = 0
        self.users = 0
        """locks on it or below it"""


class RadixTree:
    """The trees of one engine; `evicts` is False where there is always room."""

    def __init__(self, page_tokens: int, *, evicts: bool) -> None:
        self.page_tokens = page_tokens
        self.kept_tokens = 0
        """tokens in the trees"""
        self.locked_tokens = 0
        """the part of them that is in use"""
        self.evicted_tokens = 0
        """since the start"""
        self._evicts = evicts
        self._roots: dict[str, Node] = {}
        self._clock = 0
        self._order = count()
        self._leaves: list[tuple[int, int, Node]] = []
        """a heap by time of touch; an entry holds while its node was not touched again"""

    @property
    def evictable_tokens(self) -> int:
        """Tokens that nobody uses."""
        return self.kept_tokens - self.locked_tokens

    def root(self, namespace: str = "") -> Node:
        """Return the root of a namespace."""
        return self._roots.setdefault(namespace, Node(_NOTHING, None))

    def whole(self, tokens: int) -> int:
        """Return the tokens of the whole pages among so many."""
        return tokens // self.page_tokens * self.page_tokens

    def key(self, tokens: TokenIds) -> TokenIds:
        """Cut to whole pages."""
        return tokens[: self.whole(len(tokens))]

    def lookup(self, root: Node, key: TokenIds) -> int:
        """Return how many tokens of a key are cached, and touch nothing."""
        node, at = root, 0
        while at < len(key) and (child := node.children.get(self._page(key, at))) is not None:
            shared = _shared(child.tokens, key[at:], self.page_tokens)
            at += shared
            if shared < len(child.tokens):
                break
            node = child
        return at

    def walk(self, root: Node, key: TokenIds) -> tuple[Node, int]:
        """Go down as far as the key is cached, touch the path; give its end and its length."""
        node, at = root, 0
        while at < len(key) and (child := node.children.get(self._page(key, at))) is not None:
            shared = _shared(child.tokens, key[at:], self.page_tokens)
            node = child if shared == len(child.tokens) else self._split(child, shared)
            self._touch(node)
            at += shared
        return node, at

    def insert(self, root: Node, tokens: TokenIds) -> Node:
        """Keep all whole pages; give the node where they end."""
        key = self.key(tokens)
        node, at = self.walk(root, key)
        if at == len(key):
            return node
        leaf = Node(key[at:].copy(), node)  # a view would keep the whole prompt alive
        node.children[self._page(key, at)] = leaf
        self.kept_tokens += len(leaf.tokens)
        self._touch(leaf)
        return leaf

    def lock(self, node: Node) -> None:
        """Use a path once more."""
        at: Node | None = node
        while at is not None:
            if not at.users:
                self.locked_tokens += len(at.tokens)
            at.users += 1
            at = at.parent

    def unlock(self, node: Node) -> None:
        """Use a path once less."""
        at: Node | None = node
        while at is not None:
            at.users -= 1
            if not at.users:
                self.locked_tokens -= len(at.tokens)
                self._offer(at)
            at = at.parent

    def evict(self, tokens: int) -> None:
        """Evict leaves until so many tokens are gone, or none is left that nobody uses."""
        most = self.kept_tokens - tokens
        while self.kept_tokens > most and self._leaves:
            touched, _, node = heapq.heappop(self._leaves)
            if node.touched == touched and not node.children and not node.users:
                self._evict(node)

    def _evict(self, leaf: Node) -> None:
        assert leaf.parent is not None
        del leaf.parent.children[self._page(leaf.tokens, 0)]
        leaf.touched = 0  # no entry in the heap holds any longer
        self.kept_tokens -= len(leaf.tokens)
        self.evicted_tokens += len(leaf.tokens)
        self._offer(leaf.parent)

    def _split(self, lower: Node, tokens: int) -> Node:
        """Cut a node in two; give the upper one.  The lower one counts as touched."""
        assert lower.parent is not None
        upper = Node(lower.tokens[:tokens], lower.parent)
        upper.users = lower.users
        lower.parent.children[self._page(upper.tokens, 0)] = upper
        lower.parent = upper
        lower.tokens = lower.tokens[tokens:]
        upper.children[self._page(lower.tokens, 0)] = lower
        self._touch(lower)
        return upper

    def _touch(self, node: Node) -> None:
        self._clock += 1
        node.touched = self._clock
        self._offer(node)

    def _offer(self, node: Node) -> None:
        """Have a leaf that nobody uses evicted when its time comes."""
        if self._evicts and node.parent is not None and not node.children and not node.users:
            heapq.heappush(self._leaves, (node.touched, next(self._order), node))

    def _page(self, tokens: TokenIds, at: int) -> bytes:
        return tokens[at : at + self.page_tokens].tobytes()


def _shared(left: TokenIds, right: TokenIds, page_tokens: int) -> int:
    """Return how many tokens two stretches share from their start, in whole pages."""
    shorter = min(len(left), len(right))
    differ = left[:shorter] != right[:shorter]
    first = int(differ.argmax()) if differ.any() else shorter
    return first // page_tokens * page_tokens
