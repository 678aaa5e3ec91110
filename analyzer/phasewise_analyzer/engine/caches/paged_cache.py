"""Model of vLLM's paged prefix cache, exact per block: what a prompt hits, and what it evicts.

Rules besides those of `block_pool` (vLLM 0.32, v1/core: kv_cache_manager):
- only full blocks are cached, each under a hash of its tokens and of the block before it;
- a hit is the longest run of cached blocks from the start that leaves a token to compute;
- the last generated token is never read, so it has no key and value: a request of P prompt and O
  output tokens fills P + O - 1 slots.

Exact for requests that are sent one after another; the scheduler models concurrent ones.
Predictions of replays use it.
"""

import numpy as np

from phasewise_analyzer.engine.caches.block_digests import block_digests
from phasewise_analyzer.engine.caches.block_pool import BlockPool, IntArray
from phasewise_analyzer.engine.caches.token_ids import TokenIds


class PagedPrefixCache:
    """The cache of one engine that started cold; `blocks` is None where it never evicts."""

    def __init__(self, blocks: int | None, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        """tokens per block"""
        self._pool = BlockPool(blocks)

    def lookup(self, prompt: TokenIds) -> int:
        """Return how many tokens of the prompt would be served from the cache."""
        hashes = self._pool.ids(block_digests(prompt, self.block_tokens))
        return len(self._hits(prompt, hashes)) * self.block_tokens

    def admit(self, prompt: TokenIds, output: TokenIds) -> None:
        """Serve a request to its end: take blocks, fill them, free them."""
        filled = np.concatenate((prompt, output[:-1]))
        hashes = self._pool.ids(block_digests(filled, self.block_tokens))
        hits = self._hits(prompt, hashes)
        self._pool.hold(hits)
        places = -(-len(filled) // self.block_tokens)
        # a request larger than the cache is refused by the engine: nothing is left to predict
        held = np.concatenate((hits, self._pool.take(places - len(hits))))
        self._pool.name(held[: len(hashes)], hashes)
        self._pool.release(held)

    def _hits(self, prompt: TokenIds, hashes: IntArray) -> IntArray:
        """Return the cached blocks that the prompt starts with, at least one token left over."""
        return self._pool.hits(hashes[: max(0, len(prompt) - 1) // self.block_tokens])
