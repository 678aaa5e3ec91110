"""Predict before each call how many of its tokens the engine will find cached.

vLLM's rules are in the analyzer's `paged_cache`, SGLang's in its `radix_cache`.

Exact with one session in flight. With several, calls overlap and the engine decides their order, so
the prediction is an estimate. When a fact about the cache is missing, nothing is predicted.
"""

import threading

from phasewise_analyzer.engine.caches.paged_cache import PagedPrefixCache
from phasewise_analyzer.engine.caches.radix_cache import RadixPrefixCache
from phasewise_analyzer.engine.caches.token_ids import TokenIds

from phasewise_replay.engine import Answer, Resolved


class Prediction:
    """Follows the cache of one engine from a cold start; safe to use from several threads."""

    def __init__(self, resolved: Resolved) -> None:
        self._guard = threading.Lock()
        self._caching = resolved.prefix_caching
        followed = resolved.basis == "measured" and self._caching
        self._cache = _cold_cache(resolved) if followed else None

    def before(self, prompt: TokenIds | None) -> int | None:
        """Return the tokens that will be served from the cache; None when they cannot be known."""
        if self._caching is False:
            return 0
        with self._guard:
            if self._cache is None or prompt is None:
                return None
            return self._cache.lookup(prompt)

    def after(self, prompt: TokenIds | None, answer: Answer) -> None:
        """Update the model with what the engine has read and generated."""
        with self._guard:
            if self._cache is None:
                return
            read = prompt if answer.prompt_token_ids is None else answer.prompt_token_ids
            if answer.error is not None or read is None or answer.output_token_ids is None:
                self._cache = None  # the engine's cache is unknown from here on
                return
            self._cache.admit(read, answer.output_token_ids)


def _cold_cache(resolved: Resolved) -> PagedPrefixCache | RadixPrefixCache | None:
    """Return the model of the engine's cache; None if its rules or its size are not known."""
    size = resolved.block_tokens
    if size is None or resolved.prefix_cache is None:
        return None
    if resolved.prefix_cache == "paged":
        return PagedPrefixCache(resolved.blocks, size)
    return RadixPrefixCache(
        None if resolved.blocks is None else resolved.blocks * size,
        size,
        chunk_tokens=resolved.chunk_tokens,
        overlapped=resolved.overlapped,
    )
