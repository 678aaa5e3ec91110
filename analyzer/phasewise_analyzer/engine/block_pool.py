"""vLLM's pool of KV blocks: which are free, which hold what, and in which order they are evicted.

Rules (vLLM 0.32, v1/core/block_pool):
- a free block keeps its hash until it is taken: a hit takes it out of the free queue again;
- blocks are taken from the front of the queue; a taken block that held a hash loses it;
- freed blocks go to the back of the queue, from the last of a request to its first; blocks without
  a hash go to the front;
- a block is not merged with another of the same hash; a lookup finds the one cached first.

`PagedPrefixCache` and the scheduler use it.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence


class BlockPool:
    """The KV blocks of one engine; `blocks` is None where there are always enough."""

    def __init__(self, blocks: int | None) -> None:
        self._bounded = blocks is not None
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(blocks or 0))
        self._made = blocks or 0
        self._users: dict[int, int] = {}
        self._hash_of: dict[int, Hashable] = {}
        self._holders: dict[Hashable, OrderedDict[int, None]] = {}

    def room(self, blocks: int) -> bool:
        """Tell whether so many blocks can be taken."""
        return not self._bounded or blocks <= len(self._free)

    @property
    def free(self) -> int | None:
        """Blocks that can be taken; None where there are always enough."""
        return len(self._free) if self._bounded else None

    def hits(self, digests: Iterable[Hashable]) -> list[int]:
        """Return the cached blocks of the longest run of digests from the start."""
        found: list[int] = []
        for digest in digests:
            holders = self._holders.get(digest)
            if holders is None:
                break
            found.append(next(iter(holders)))
        return found

    def unused(self, blocks: Iterable[int]) -> int:
        """Return how many of these blocks are in the free queue."""
        return sum(block not in self._users for block in blocks)

    def hold(self, blocks: Iterable[int]) -> None:
        """Use cached blocks once more."""
        for block in blocks:
            users = self._users.get(block, 0)
            if not users:
                self._free.pop(block, None)
            self._users[block] = users + 1

    def take(self, count: int) -> list[int]:
        """Take so many blocks; what they held is evicted."""
        return [self._take() for _ in range(count)]

    def name(self, block: int, digest: Hashable) -> None:
        """Cache a full block under its hash; a block that has one keeps it."""
        if block not in self._hash_of:
            self._hash_of[block] = digest
            self._holders.setdefault(digest, OrderedDict())[block] = None

    def release(self, blocks: Sequence[int]) -> None:
        """Give up the blocks of a request, which come in the order of its tokens."""
        for block in reversed(blocks):
            users = self._users[block] - 1
            if users:
                self._users[block] = users
                continue
            del self._users[block]
            self._free[block] = None
            if block not in self._hash_of:
                self._free.move_to_end(block, last=False)

    def _take(self) -> int:
        if self._bounded:
            block, _ = self._free.popitem(last=False)
        else:
            self._made += 1
            block = self._made
        self._users[block] = 1
        digest = self._hash_of.pop(block, None)
        if digest is not None:
            holders = self._holders[digest]
            del holders[block]
            if not holders:
                del self._holders[digest]
        return block
