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
        self._holder: dict[Hashable, int] = {}
        """the block that a lookup finds: the one cached first"""
        self._later: dict[Hashable, OrderedDict[int, None]] = {}
        """further blocks of the same hash, in the order in which they were cached"""

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
        holder = self._holder.get
        for digest in digests:
            block = holder(digest)
            if block is None:
                break
            found.append(block)
        return found

    def unused(self, blocks: Iterable[int]) -> int:
        """Return how many of these blocks are in the free queue."""
        users = self._users
        return len([block for block in blocks if block not in users])

    def hold(self, blocks: Iterable[int]) -> None:
        """Use cached blocks once more."""
        users, free = self._users, self._free
        for block in blocks:
            if block in users:
                users[block] += 1
            else:
                users[block] = 1
                free.pop(block, None)

    def take(self, count: int) -> list[int]:
        """Take so many blocks; what they held is evicted."""
        return [self._take() for _ in range(count)]

    def name(self, block: int, digest: Hashable) -> None:
        """Cache a full block under its hash; a block that has one keeps it."""
        if block not in self._hash_of:
            self._hash_of[block] = digest
            if self._holder.setdefault(digest, block) != block:
                self._later.setdefault(digest, OrderedDict())[block] = None

    def release(self, blocks: Sequence[int]) -> None:
        """Give up the blocks of a request, which come in the order of its tokens."""
        users, free, hashes = self._users, self._free, self._hash_of
        for block in reversed(blocks):
            if users[block] > 1:
                users[block] -= 1
                continue
            del users[block]
            free[block] = None
            if block not in hashes:
                free.move_to_end(block, last=False)

    def _take(self) -> int:
        if self._bounded:
            block, _ = self._free.popitem(last=False)
        else:
            self._made += 1
            block = self._made
        self._users[block] = 1
        digest = self._hash_of.pop(block, None)
        if digest is not None:
            self._forget(block, digest)
        return block

    def _forget(self, block: int, digest: Hashable) -> None:
        """Take a block out of the index."""
        later = self._later.get(digest)
        if self._holder[digest] != block:
            assert later is not None, "a block that is not found first was cached later"
            del later[block]
        elif later:
            self._holder[digest], _ = later.popitem(last=False)
        else:
            del self._holder[digest]
        if later is not None and not later:
            del self._later[digest]
