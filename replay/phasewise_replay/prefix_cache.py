"""Model of vLLM's paged prefix cache, exact per block: what a prompt hits, and what it evicts.

Rules (vLLM 0.32, v1/core: kv_cache_manager, block_pool, single_type_kv_cache_manager):
- only full blocks are cached, each under a hash of its tokens and of the block before it;
- a hit is the longest run of cached blocks from the start that leaves a token to compute;
- a request takes its hit blocks and then free ones from the front of the free queue; a taken block
  that held another hash loses it;
- the last generated token is never read, so it has no key and value: a request of P prompt and O
  output tokens fills P + O - 1 slots;
- a finished request frees its blocks from the last to the first: hashed ones go to the back of the
  queue, the partial one to the front;
- a block is not merged with another of the same hash; a lookup finds the one cached first.

Exact for requests that are sent one after another. `prediction` and the simulator use it.
"""

from collections import OrderedDict

import numpy as np
import xxhash

from phasewise_replay.engine import TokenIds


class PagedPrefixCache:
    """The cache of one engine that started cold; `blocks` is None where it never evicts."""

    def __init__(self, blocks: int | None, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        """tokens per block"""
        self._blocks = blocks
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(blocks or 0))
        self._made = 0
        self._hash_of: dict[int, bytes] = {}
        self._holders: dict[bytes, OrderedDict[int, None]] = {}

    def lookup(self, prompt: TokenIds) -> int:
        """Return how many tokens of the prompt would be served from the cache."""
        return len(self._hits(prompt, self._hashes(prompt))) * self.block_tokens

    def admit(self, prompt: TokenIds, output: TokenIds) -> None:
        """Serve a request to its end: take blocks, fill them, free them."""
        filled = np.concatenate((prompt, output[:-1]))
        hashes = self._hashes(filled)
        held = self._hits(prompt, hashes)
        for block in held:
            self._free.pop(block, None)
        places = -(-len(filled) // self.block_tokens)
        held += [self._take() for _ in range(places - len(held))]
        for block, digest in zip(held, hashes, strict=False):
            if block not in self._hash_of:
                self._hash_of[block] = digest
                self._holders.setdefault(digest, OrderedDict())[block] = None
        for block in reversed(held):
            self._free[block] = None
            if block not in self._hash_of:
                self._free.move_to_end(block, last=False)

    def _hashes(self, tokens: TokenIds) -> list[bytes]:
        """Return the chained hash of every full block."""
        size = self.block_tokens
        raw = np.ascontiguousarray(tokens, dtype=np.int64).tobytes()
        digests: list[bytes] = []
        above = b""
        for end in range(size, len(tokens) + 1, size):
            above = xxhash.xxh3_128_digest(above + raw[(end - size) * 8 : end * 8])
            digests.append(above)
        return digests

    def _hits(self, prompt: TokenIds, hashes: list[bytes]) -> list[int]:
        """Return the cached blocks that the prompt starts with, at least one token left over."""
        found: list[int] = []
        for digest in hashes[: max(0, len(prompt) - 1) // self.block_tokens]:
            holders = self._holders.get(digest)
            if holders is None:
                break
            found.append(next(iter(holders)))
        return found

    def _take(self) -> int:
        """Take a block; what it held is evicted."""
        if self._blocks is None:
            self._made += 1
            return self._made
        # a request larger than the cache is refused by the engine: nothing is left to predict
        block, _ = self._free.popitem(last=False)
        digest = self._hash_of.pop(block, None)
        if digest is not None:
            holders = self._holders[digest]
            del holders[block]
            if not holders:
                del self._holders[digest]
        return block
