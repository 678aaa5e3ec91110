"""Model of SGLang's radix cache, exact per token: what a prompt hits, and what it evicts.

Rules besides those of `radix_tree` (SGLang 0.5.23, srt/mem_cache: allocation; srt/managers:
scheduler):
- a hit is the longest cached path that leaves a token to compute; the path is locked until the
  request ends;
- a prefill step evicts until its tokens are free, and one page more where pages hold several
  tokens; a decode step evicts until one page is free, even where it needs none;
- the prompt is inserted after each prefill step, so that a node ends where it does; after the last
  step only when the first decode step has its place, where SGLang prepares a step before it reads
  the one before it (overlap);
- at its end a request inserts prompt and output, but the last token, which is never read;
- what the tree has already is not kept twice, and what fills no page is freed.

Exact for requests that are sent one after another, with one rule left out: at every 32nd arrival
since its start SGLang touches the waiting prompt to its last token too, which can spare a leaf of
one page where the same prompt comes again. `prediction` uses it.
"""

from dataclasses import dataclass

import numpy as np

from phasewise_analyzer.engine.caches.radix_tree import Node, RadixTree
from phasewise_analyzer.engine.caches.token_ids import TokenIds


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
        self._tree = tree = RadixTree(page_tokens, evicts=capacity_tokens is not None)
        self._capacity = None if capacity_tokens is None else tree.whole(capacity_tokens)
        self._chunk = None if chunk_tokens is None else max(page_tokens, tree.whole(chunk_tokens))
        self._overlapped = overlapped

    @property
    def evicted_tokens(self) -> int:
        """Tokens evicted since the start."""
        return self._tree.evicted_tokens

    @property
    def kept_tokens(self) -> int:
        """Tokens in the trees."""
        return self._tree.kept_tokens

    def lookup(self, prompt: TokenIds, *, namespace: str = "") -> int:
        """Return how many tokens of the prompt would be served from the cache."""
        return self._tree.lookup(self._tree.root(namespace), self._tree.key(prompt[:-1]))

    def admit(self, prompt: TokenIds, output: TokenIds, *, namespace: str = "") -> None:
        """Serve a request to its end: match, make room step by step, insert, release."""
        root = self._tree.root(namespace)
        held, hit = self._tree.walk(root, self._tree.key(prompt[:-1]))
        self._tree.lock(held)
        running = _Running(held, kept=hit, length=hit)
        while (end := self._step_end(running.length, len(prompt))) < len(prompt):
            self._prefill(running, end)
            self._keep(running, self._tree.insert(root, prompt[:end]), end)
        self._prefill(running, len(prompt))
        steps = len(output) - 1  # the first token comes out of the prefill
        ahead = min(steps, 1) if self._overlapped else 0
        self._decode(running, ahead)
        if steps:
            self._keep(running, self._tree.insert(root, prompt), len(prompt))
        self._decode(running, steps - ahead)
        self._tree.insert(root, np.concatenate((prompt, output[:-1])))
        self._tree.unlock(running.held)

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

    def _keep(self, running: "_Running", node: Node, tokens: int) -> None:
        """Lock the path down to what was just inserted; the tree owns it now."""
        self._tree.unlock(running.held)
        self._tree.lock(node)
        running.held = node
        running.kept = self._tree.whole(tokens)

    def _make_room(self, running: "_Running", tokens: int) -> None:
        """Evict leaves until so many tokens are free, or no leaf is left that is not in use."""
        if self._capacity is None:
            return
        own = -(-running.length // self.page_tokens) * self.page_tokens - running.kept
        self._tree.evict(self._tree.kept_tokens + own + tokens - self._capacity)


@dataclass(slots=True)
class _Running:
    """The request that is being served."""

    held: Node
    """end of the locked path"""
    kept: int
    """its tokens that are in the tree"""
    length: int
    """its tokens that have a place"""
