"""The chained hashes under which an engine's cache knows the full blocks of a prompt."""

import numpy as np
import xxhash

from phasewise_analyzer.engine.caches.token_ids import TokenIds


def block_digests(tokens: TokenIds, block_tokens: int, above: bytes = b"") -> list[bytes]:
    """Return the hash of every full block, over its tokens and the hash of the block before it.

    `above` is the hash of the block before the first one.
    """
    raw = np.ascontiguousarray(tokens, dtype=np.int64).tobytes()
    width = block_tokens * 8
    digests: list[bytes] = []
    for end in range(width, len(raw) + 1, width):
        above = xxhash.xxh3_128_digest(above + raw[end - width : end])
        digests.append(above)
    return digests
