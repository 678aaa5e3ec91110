"""Model of SGLang's radix cache, exact per token: what a prompt hits, and what it evicts.

Rules (SGLang 0.5.23, srt/mem_cache: unified_radix_cache, allocation; srt/managers: scheduler):
- keys are cut to whole pages; each namespace (extra key, cache salt) has a tree of its own;
- a hit is the longest cached path that leaves a token to compute; where it ends inside a node, the
  node is split there; the path is locked until the request ends;
- a prefill step evicts until its tokens are free, and one page more where pages hold several
  tokens; a decode step evicts until one page is free, even where it needs none;
- the prompt is inserted after each prefill step, so that a node ends where it does; after the last
  step only when the first decode step has its place, where SGLang prepares a step before it reads
  the one before it (overlap);
- at its end a request inserts prompt and output, but the last token, which is never read;
- what the tree has already is not kept twice, and what fills no page is freed;
- an eviction takes whole leaves, the one touched longest ago first; a parent left without children
  is a leaf; every walk touches its path, and what it splits off.

Exact for requests that are sent one after another, with one rule left out: at every 32nd arrival
since its start SGLang touches the waiting prompt to its last token too, which can spare a leaf of
one page where the same prompt comes again. `prediction` uses it.
"""

import heapq
from dataclasses import dataclass
from itertools import count

import numpy as np

from phasewise_analyzer.engine.token_ids import TokenIds

_NOTHING = np.empty(0, dtype=np.int64)


class _Node:
    """A stretch of tokens that is cached, below what comes before it."""

    __slots__ = ("children", "parent", "tokens", "touched")

    def __init__(self, tokens: TokenIds, parent: "_Node | None") -> None:
        self.tokens = tokens
        self.parent = parent
        self.children: dict[bytes, _Node] = {}
        """by the bytes of their first page"""
        self.touched = 0


class RadixPrefixCache:
    """The cache of one engine that started cold; `capacity_tokens` is None where it never evicts.

    `chunk_tokens` is the most prompt tokens of one engine step; None is no limit.
    """

    def __init__(
        self,
        capacity_tokens: int | None,
        page_tokens: int = 1,
        *,
        chunk_tokens: int | None = None,
        overlapped: bool = True,
    ) -> None:
        self.page_tokens = page_tokens
        self.evicted_tokens = 0
        """since the start"""
        self._capacity = None if capacity_tokens is None else self._whole(capacity_tokens)
        self._chunk = None if chunk_tokens is None else max(page_tokens, self._whole(chunk_tokens))
        self._overlapped = overlapped
        self._roots: dict[str, _Node] = {}
        self.kept_tokens = 0
        """tokens in the trees"""
        self._clock = 0
        self._order = count()
        self._leaves: list[tuple[int, int, _Node]] = []
        """a heap by time of touch; an entry holds while its node was not touched again"""

    def lookup(self, prompt: TokenIds, *, namespace: str = "") -> int:
        """Return how many tokens of the prompt would be served from the cache."""
        node, at = self._root(namespace), 0
        key = self._key(prompt[:-1])
        while at < len(key) and (child := node.children.get(self._page(key, at))) is not None:
            shared = _shared(child.tokens, key[at:], self.page_tokens)
            at += shared
            if shared < len(child.tokens):
                break
            node = child
        return at

    def admit(self, prompt: TokenIds, output: TokenIds, *, namespace: str = "") -> None:
        """Serve a request to its end: match, make room step by step, insert, release."""
        root = self._root(namespace)
        held, hit = self._walk(root, self._key(prompt[:-1]))
        running = _Running(held, kept=hit, length=hit)
        while (end := self._step_end(running.length, len(prompt))) < len(prompt):
            self._prefill(running, end)
            self._keep(running, self._insert(root, prompt[:end]), end)
        self._prefill(running, len(prompt))
        steps = len(output) - 1  # the first token comes out of the prefill
        ahead = min(steps, 1) if self._overlapped else 0
        self._decode(running, ahead)
        if steps:
            self._keep(running, self._insert(root, prompt), len(prompt))
        self._decode(running, steps - ahead)
        self._insert(root, np.concatenate((prompt, output[:-1])))

    def _root(self, namespace: str) -> _Node:
        return self._roots.setdefault(namespace, _Node(_NOTHING, None))

    def _step_end(self, done: int, prompt_tokens: int) -> int:
        """Return where the next prefill step ends."""
        if self._chunk is None:
            return prompt_tokens
        return min(prompt_tokens, done + self._chunk)

    def _prefill(self, running: "_Running", end: int) -> None:
        """Find places for the prompt up to `end`."""
        spare = self.page_tokens if self.page_tokens > 1 else 0
        self._make_room(running, end - running.length + spare)
        running.length = end

    def _decode(self, running: "_Running", steps: int) -> None:
        """Find a place for one token a step."""
        for _ in range(steps):
            self._make_room(running, self.page_tokens)
            running.length += 1

    def _keep(self, running: "_Running", node: _Node, tokens: int) -> None:
        """Lock the path down to what was just inserted; the tree owns it now."""
        running.held = node
        running.kept = self._whole(tokens)

    def _make_room(self, running: "_Running", tokens: int) -> None:
        """Evict leaves until so many tokens are free."""
        if self._capacity is None:
            return
        own = -(-running.length // self.page_tokens) * self.page_tokens - running.kept
        most = self._capacity - own - tokens
        while self.kept_tokens > most and self._leaves:
            touched, _, node = entry = heapq.heappop(self._leaves)
            if node.touched != touched or node.children:
                continue
            if node is running.held:
                # its own path was touched last, so nothing else is left: the request is larger
                # than the cache, and the engine refuses it
                heapq.heappush(self._leaves, entry)
                return
            self._evict(node)

    def _evict(self, leaf: _Node) -> None:
        assert leaf.parent is not None
        del leaf.parent.children[self._page(leaf.tokens, 0)]
        leaf.touched = 0  # no entry in the heap holds any longer
        self.kept_tokens -= len(leaf.tokens)
        self.evicted_tokens += len(leaf.tokens)
        self._offer(leaf.parent)

    def _insert(self, root: _Node, tokens: TokenIds) -> _Node:
        """Keep all whole pages; give the node where they end."""
        key = self._key(tokens)
        node, at = self._walk(root, key)
        if at == len(key):
            return node
        leaf = _Node(key[at:].copy(), node)  # a view would keep the whole prompt alive
        node.children[self._page(key, at)] = leaf
        self.kept_tokens += len(leaf.tokens)
        self._touch(leaf)
        return leaf

    def _walk(self, root: _Node, key: TokenIds) -> tuple[_Node, int]:
        """Go down as far as the key is cached, touch the path; give its end and its length."""
        node, at = root, 0
        while at < len(key) and (child := node.children.get(self._page(key, at))) is not None:
            shared = _shared(child.tokens, key[at:], self.page_tokens)
            node = child if shared == len(child.tokens) else self._split(child, shared)
            self._touch(node)
            at += shared
        return node, at

    def _split(self, lower: _Node, tokens: int) -> _Node:
        """Cut a node in two; give the upper one.  The lower one counts as touched."""
        assert lower.parent is not None
        upper = _Node(lower.tokens[:tokens], lower.parent)
        lower.parent.children[self._page(upper.tokens, 0)] = upper
        lower.parent = upper
        lower.tokens = lower.tokens[tokens:]
        upper.children[self._page(lower.tokens, 0)] = lower
        self._touch(lower)
        return upper

    def _touch(self, node: _Node) -> None:
        self._clock += 1
        node.touched = self._clock
        self._offer(node)

    def _offer(self, node: _Node) -> None:
        """Have a leaf evicted when its time comes."""
        if self._capacity is not None and node.parent is not None and not node.children:
            heapq.heappush(self._leaves, (node.touched, next(self._order), node))

    def _whole(self, tokens: int) -> int:
        return tokens // self.page_tokens * self.page_tokens

    def _key(self, tokens: TokenIds) -> TokenIds:
        """Cut to whole pages."""
        return tokens[: self._whole(len(tokens))]

    def _page(self, tokens: TokenIds, at: int) -> bytes:
        return tokens[at : at + self.page_tokens].tobytes()


@dataclass(slots=True)
class _Running:
    """The request that is being served."""

    held: _Node
    """end of the locked path"""
    kept: int
    """its tokens that are in the tree"""
    length: int
    """its tokens that have a place"""


def _shared(left: TokenIds, right: TokenIds, page_tokens: int) -> int:
    """Return how many tokens two stretches share from their start, in whole pages."""
    shorter = min(len(left), len(right))
    differ = left[:shorter] != right[:shorter]
    first = int(differ.argmax()) if differ.any() else shorter
    return first // page_tokens * page_tokens
