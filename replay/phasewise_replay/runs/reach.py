"""How many tokens of each call a prefix cache could have had: an endless one, filled in time.

Whatever was sent earlier in the block counts, also while it is still in flight, and every output
that has ended. So no engine with the same block size can find more.
"""

from typing import Protocol

import numpy as np
from phasewise_analyzer.engine.caches.block_digests import block_digests
from phasewise_analyzer.engine.caches.radix_cache import RadixPrefixCache
from phasewise_analyzer.engine.caches.token_ids import TokenIds

from phasewise_replay.engine import Answer, Resolved

NO_OUTPUT: TokenIds = np.empty(0, np.int64)


class _Endless(Protocol):
    def lookup(self, prompt: TokenIds) -> int: ...

    def admit(self, prompt: TokenIds, output: TokenIds) -> None: ...


class Reach:
    """Follows one block; works for arms without a cache, too."""

    def __init__(self, resolved: Resolved) -> None:
        self._cache = _endless(resolved)

    def sent(self, prompt: TokenIds | None) -> int | None:
        """Return what a call that is sent now could find; None where that is not known."""
        if self._cache is None or prompt is None:
            return None
        found = self._cache.lookup(prompt)
        self._cache.admit(prompt, NO_OUTPUT)
        return found

    def answered(self, prompt: TokenIds | None, answer: Answer) -> None:
        """Note an output."""
        output = answer.output_token_ids
        if self._cache is not None and prompt is not None and output is not None:
            self._cache.admit(prompt, output)


class _EndlessBlocks:
    """vLLM's full blocks, of which none is evicted."""

    def __init__(self, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._known: set[bytes] = set()

    def lookup(self, prompt: TokenIds) -> int:
        """Return the tokens of the known blocks that the prompt starts with, one left over."""
        digests = block_digests(prompt[:-1], self._block_tokens)
        hits = next(
            (place for place, digest in enumerate(digests) if digest not in self._known),
            len(digests),
        )
        return hits * self._block_tokens

    def admit(self, prompt: TokenIds, output: TokenIds) -> None:
        """Keep all full blocks; the last output token is never read."""
        self._known.update(block_digests(np.concatenate((prompt, output[:-1])), self._block_tokens))


def _endless(resolved: Resolved) -> _Endless | None:
    if resolved.block_tokens is None or resolved.prefix_cache is None:
        return None
    if resolved.prefix_cache == "radix":
        return RadixPrefixCache(None, resolved.block_tokens)
    return _EndlessBlocks(resolved.block_tokens)
