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
    def sent(self, call_id: str, prompt: TokenIds) -> int: ...

    def answered(self, call_id: str, output: TokenIds) -> None: ...


class Reach:
    """Follows one block; works for arms without a cache, too."""

    def __init__(self, resolved: Resolved) -> None:
        self._cache = _endless(resolved)

    def sent(self, call_id: str, prompt: TokenIds | None) -> int | None:
        """Return what a call that is sent now could find; None where that is not known."""
        if self._cache is None or prompt is None:
            return None
        return self._cache.sent(call_id, prompt)

    def answered(self, call_id: str, answer: Answer) -> None:
        """Note an output."""
        if self._cache is not None and answer.output_token_ids is not None:
            self._cache.answered(call_id, answer.output_token_ids)


class _EndlessBlocks:
    """vLLM's full blocks, of which none is evicted."""

    def __init__(self, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._known: set[bytes] = set()
        self._open: dict[str, tuple[bytes, TokenIds]] = {}
        """of calls in flight: the hash of the prompt's last full block, and what follows it"""

    def sent(self, call_id: str, prompt: TokenIds) -> int:
        """Return the tokens of the known blocks that the prompt starts with, and keep its blocks.

        The last token of a prompt is always computed.
        """
        size, digests = self._block_tokens, block_digests(prompt, self._block_tokens)
        usable = digests[: (len(prompt) - 1) // size]
        absent = (place for place, digest in enumerate(usable) if digest not in self._known)
        hits = next(absent, len(usable))
        self._known.update(digests)
        last = digests[-1] if digests else b""
        self._open[call_id] = last, prompt[len(digests) * size :]
        return hits * size

    def answered(self, call_id: str, output: TokenIds) -> None:
        """Keep the blocks that the output fills; its last token is never read."""
        if call_id in self._open:
            last, rest = self._open.pop(call_id)
            filled = np.concatenate((rest, output[:-1]))
            self._known.update(block_digests(filled, self._block_tokens, last))


class _EndlessTree:
    """SGLang's tree, of which nothing is evicted."""

    def __init__(self, page_tokens: int) -> None:
        self._tree = RadixPrefixCache(None, page_tokens)
        self._open: dict[str, TokenIds] = {}

    def sent(self, call_id: str, prompt: TokenIds) -> int:
        """Return the tokens of the longest known path, and keep the prompt."""
        found = self._tree.lookup(prompt)
        self._tree.admit(prompt, NO_OUTPUT)
        self._open[call_id] = prompt
        return found

    def answered(self, call_id: str, output: TokenIds) -> None:
        """Keep the output behind its prompt."""
        if call_id in self._open:
            self._tree.admit(self._open.pop(call_id), output)


def _endless(resolved: Resolved) -> _Endless | None:
    if resolved.block_tokens is None or resolved.prefix_cache is None:
        return None
    if resolved.prefix_cache == "radix":
        return _EndlessTree(resolved.block_tokens)
    return _EndlessBlocks(resolved.block_tokens)
