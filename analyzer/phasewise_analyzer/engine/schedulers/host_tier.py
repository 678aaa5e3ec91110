"""KV blocks in host memory, least recently used first: the tier behind an engine's own cache.

Rules (vLLM 0.32, v1/kv_offload/cpu with the LRU policy):
- blocks are offered when their tokens are scheduled; those that are missing are kept, in the place
  of the ones used longest ago; where too few can go, none of the offer is kept;
- what is being loaded, or was just offered, is not evicted;
- a use is the moment at which a block is kept, and the end of a request that offered or loaded it,
  from its last block to its first.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from phasewise_analyzer.engine.schedulers.transfers import Link


@dataclass(frozen=True, slots=True)
class HostMemory:
    """The host memory of one rank."""

    blocks: int
    block_bytes: float
    """of one block on one GPU"""
    link: Link
    """from the host to one GPU"""


class HostTier:
    """The blocks that are there, by the numbers of their hashes."""

    def __init__(self, blocks: int) -> None:
        self._blocks = blocks
        self._held: OrderedDict[int, None] = OrderedDict()
        """from the least to the most recently used"""
        self._loading: Counter[int] = Counter()

    def hits(self, digests: Iterable[int]) -> list[int]:
        """Return the longest run from the start that is there."""
        return list(takewhile(self._held.__contains__, digests))

    def is_loading(self, digests: Iterable[int]) -> bool:
        """Tell whether any of these is being loaded for another request."""
        return any(map(self._loading.__contains__, digests))

    def load(self, digests: Iterable[int]) -> None:
        """Begin to load: these stay until `loaded`."""
        self._loading.update(digests)

    def loaded(self, digests: Iterable[int]) -> None:
        """End a load."""
        for digest in digests:
            del self._loading[digest]

    def offer(self, digests: Sequence[int]) -> bool:
        """Keep those that are missing; tell whether there was room."""
        missing = [digest for digest in digests if digest not in self._held]
        over = len(self._held) + len(missing) - self._blocks
        if over > 0:
            offered = set(digests)
            victims: list[int] = []
            for digest in self._held:
                if len(victims) == over:
                    break
                if digest not in self._loading and digest not in offered:
                    victims.append(digest)
            if len(victims) < over:
                return False
            for digest in victims:
                del self._held[digest]
        self._held.update(dict.fromkeys(missing))
        return True

    def use(self, digests: Iterable[int]) -> None:
        """Note the use of blocks, the first of them being the longest ago."""
        for digest in digests:
            if digest in self._held:
                self._held.move_to_end(digest)
