"""Generate token ids for prompts: the same text gives the same ids in every process.

Used by the simulator and its predictions, and by real engines when a trace has block hashes and no
text. Python's `hash` cannot be used, since it differs between processes.
"""

from collections.abc import Sequence

import numpy as np
import xxhash
from phasewise_store.facts import Segment
from phasewise_store.tokens import piece_tokens, pieces

from phasewise_analyzer.engine.caches.token_ids import TokenIds

UNBOUNDED = 2**62
"""a vocabulary in which two different pieces of text practically never share an id"""


class PromptIds:
    """Turns segments into ids, each segment once; histories repeat them on every call."""

    def __init__(self, vocabulary_tokens: int = UNBOUNDED) -> None:
        self.vocabulary_tokens = vocabulary_tokens
        self._known: dict[bytes, TokenIds] = {}

    def ids(self, prompt: Sequence[Segment]) -> TokenIds:
        """Return the whole prompt; it has exactly as many ids as its segments have tokens."""
        return np.concatenate([np.empty(0, np.int64), *map(self._of, prompt)])

    def _of(self, segment: Segment) -> TokenIds:
        if segment.digest not in self._known:
            self._known[segment.digest] = self._make(segment)
        return self._known[segment.digest]

    def _make(self, segment: Segment) -> TokenIds:
        if self.vocabulary_tokens == UNBOUNDED and segment.content is not None:
            ids = text_ids(segment.content.decode("utf-8", "surrogatepass"))
            if len(ids) == segment.tokens:
                return ids
        return digest_ids(segment.digest, segment.tokens, self.vocabulary_tokens)


def text_ids(text: str) -> TokenIds:
    """Return an id for each token a text is likely to have; equal text starts give equal ids."""
    ids = [
        xxhash.xxh3_64_intdigest(piece.encode("utf-8", "surrogatepass"), seed=place) >> 2
        for piece in pieces(text)
        for place in range(piece_tokens(piece))
    ]
    return np.array(ids, dtype=np.int64)


def digest_ids(digest: bytes, tokens: int, vocabulary_tokens: int) -> TokenIds:
    """Return ids for a block known by its hash, away from both ends of the vocabulary.

    Special tokens stand there. The numbers are SplitMix64's, so that they never change with NumPy.
    """
    low = min(1000, vocabulary_tokens // 8)
    span = vocabulary_tokens - vocabulary_tokens // 8 - low
    start = np.uint64(xxhash.xxh3_64_intdigest(digest))
    with np.errstate(over="ignore"):
        mixed = start + np.arange(1, tokens + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(span)).astype(np.int64) + low


def unheard_ids(request_id: str, tokens: int) -> TokenIds:
    """Return ids of an output that no prompt sends: a model writes other text than was recorded."""
    return digest_ids(request_id.encode(), tokens, 2**40) + 2**61
