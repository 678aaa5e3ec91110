"""vLLM's pool of KV blocks: which are free, which hold what, and in which order they are evicted.

Rules (vLLM 0.32, v1/core/block_pool):
- a free block keeps its hash until it is taken: a hit takes it out of the free queue again;
- blocks are taken from the front of the queue; a taken block that held a hash loses it;
- freed blocks go to the back of the queue, from the last of a request to its first; blocks without
  a hash go to the front;
- a block is not merged with another of the same hash; a lookup finds the one cached first.

`PagedPrefixCache` and the scheduler use it. A prompt has thousands of blocks, so the blocks of a
request are arrays, and hashes are numbered (`ids`). The queue is a row of stretches that were freed
together; a block that has left the queue since then is skipped, which its stamp tells.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
NO_BLOCKS: IntArray = np.empty(0, dtype=np.int64)
NO_PROMPT: tuple[Sequence[Hashable], IntArray] = (), NO_BLOCKS
IN_USE = 0
"""stamp of a block that is not in the queue"""
NOTHING = -1
"""in place of a hash or of a block"""
LEAST_LOOK = 64
"""entries of a stretch that are looked at together"""
MOST_QUEUED = 4
"""entries of the queue per block, before those that have left it are dropped"""


class BlockPool:
    """The KV blocks of one engine; `blocks` is None where there are always enough."""

    def __init__(self, blocks: int | None) -> None:
        self._bounded = blocks is not None
        self._made = self._free = blocks or 0
        self._users = np.zeros(self._made, dtype=np.int64)
        self._id_of = np.full(self._made, NOTHING, dtype=np.int64)
        """the hash that each block holds"""
        self._stamps = 1
        self._stamp = np.full(self._made, self._stamps, dtype=np.int64)
        self._queue = deque([(np.arange(self._made), self._stamps)])
        """stretches of free blocks, each with its stamp"""
        self._queued = self._made
        """blocks in all stretches, with those that have left the queue"""
        self._numbers: dict[Hashable, int] = {}
        self._numbered = 0
        self._prompts: list[tuple[Sequence[Hashable], IntArray]] = []
        """for each number, a prompt that has the hash, and the prompt's numbers"""
        self._holder = NO_BLOCKS
        """the block that a lookup of each hash finds: the one cached first"""
        self._later: dict[int, OrderedDict[int, None]] = {}
        """further blocks of the same hash, in the order in which they were cached"""

    def ids(self, digests: Sequence[Hashable]) -> IntArray:
        """Return numbers for the chained digests of a prompt's blocks, equal ones for equal ones.

        A digest that comes again in one prompt is another one there, as chained ones would be.
        """
        known = self._known(digests)
        rest = digests[len(known) :]
        if not rest:
            return known
        numbers = self._numbers
        if len(set(rest)) < len(rest) or not numbers.keys().isdisjoint(rest):
            # they are no chain
            rest, known = _distinct(digests), NO_BLOCKS
        new = [digest for digest in rest if digest not in numbers]
        numbers.update(zip(new, range(self._numbered, self._numbered + len(new)), strict=True))
        found = np.append(known, np.fromiter(map(numbers.__getitem__, rest), np.int64, len(rest)))
        self._prompts += [(digests, found)] * len(new)
        self.fresh(len(new))
        return found

    def fresh(self, count: int) -> IntArray:
        """Return so many numbers of hashes that no prompt has."""
        first = self._numbered
        self._numbered += count
        self._holder = _with_room(self._holder, self._numbered, NOTHING)
        self._prompts += [NO_PROMPT] * (self._numbered - len(self._prompts))
        return np.arange(first, self._numbered)

    def _known(self, digests: Sequence[Hashable]) -> IntArray:
        """Return the numbers of the longest start that an earlier prompt has, too.

        Of a chain, whatever comes before a known digest is known.
        """
        numbers = self._numbers
        if not digests or digests[0] not in numbers:
            return NO_BLOCKS
        last, end = 0, len(digests)
        while end - last > 1:
            middle = (last + end) // 2
            last, end = (middle, end) if digests[middle] in numbers else (last, middle)
        same, ids = self._prompts[numbers[digests[last]]]
        return ids[:end] if same[:end] == digests[:end] else NO_BLOCKS

    def room(self, blocks: int) -> bool:
        """Tell whether so many blocks can be taken."""
        return not self._bounded or blocks <= self._free

    @property
    def free(self) -> int | None:
        """Blocks that can be taken; None where there are always enough."""
        return self._free if self._bounded else None

    def hits(self, ids: IntArray) -> IntArray:
        """Return the cached blocks of the longest run of hashes from the start."""
        blocks = self._holder[ids]
        absent = blocks == NOTHING
        return blocks[: absent.argmax()] if absent.any() else blocks

    def unused(self, blocks: IntArray) -> int:
        """Return how many of these blocks are in the free queue."""
        return len(blocks) - int(np.count_nonzero(self._users[blocks]))

    def hold(self, blocks: IntArray) -> None:
        """Use cached blocks once more."""
        self._free -= self.unused(blocks)
        self._users[blocks] += 1
        self._stamp[blocks] = IN_USE

    def take(self, count: int) -> IntArray:
        """Take so many blocks; what they held is evicted."""
        if count == 0:
            return NO_BLOCKS
        if self._bounded:
            blocks = self._from_queue(count)
            held = self._id_of[blocks]
            if (held != NOTHING).any():
                self._evict(blocks, held)
        else:
            blocks = np.arange(self._made, self._made + count)
            self._made += count
            self._users = _with_room(self._users, self._made, 0)
            self._id_of = _with_room(self._id_of, self._made, NOTHING)
            self._stamp = _with_room(self._stamp, self._made, IN_USE)
        self._users[blocks] = 1
        self._stamp[blocks] = IN_USE
        self._free -= count
        return blocks

    def name(self, blocks: IntArray, ids: IntArray) -> None:
        """Cache full blocks under their hashes; a block that has one keeps it."""
        blank = self._id_of[blocks] == NOTHING
        blocks, ids = blocks[blank], ids[blank]
        self._id_of[blocks] = ids
        first = self._holder[ids] == NOTHING
        self._holder[ids[first]] = blocks[first]
        for block, digest in zip(blocks[~first].tolist(), ids[~first].tolist(), strict=True):
            self._later.setdefault(digest, OrderedDict())[block] = None

    def release(self, blocks: IntArray) -> None:
        """Give up the blocks of a request, which come in the order of its tokens."""
        self._users[blocks] -= 1
        freed = blocks[self._users[blocks] == 0]
        self._free += len(freed)
        if not self._bounded:
            return
        hashed = self._id_of[freed] != NOTHING
        for stretch, add in (
            (freed[hashed][::-1], self._queue.append),
            (freed[~hashed], self._queue.appendleft),
        ):
            if len(stretch):
                self._stamps += 1
                self._stamp[stretch] = self._stamps
                self._queued += len(stretch)
                add((stretch, self._stamps))
        if self._queued > MOST_QUEUED * self._made:
            self._tidy()

    def _from_queue(self, count: int) -> IntArray:
        """Return so many blocks from the front of the free queue."""
        found: list[IntArray] = []
        while count:
            stretch, stamp = self._queue.popleft()
            look = stretch[: max(LEAST_LOOK, 2 * count)]
            places = np.flatnonzero(self._stamp[look] == stamp)[:count]
            found.append(look[places])
            count -= len(places)
            past = len(look) if count else int(places[-1]) + 1
            self._queued -= past
            if past < len(stretch):
                self._queue.appendleft((stretch[past:], stamp))
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _tidy(self) -> None:
        """Drop what has left the queue."""
        kept = [(one[self._stamp[one] == stamp], stamp) for one, stamp in self._queue]
        self._queue = deque((one, stamp) for one, stamp in kept if len(one))
        self._queued = sum(len(one) for one, _ in self._queue)

    def _evict(self, blocks: IntArray, held: IntArray) -> None:
        """Take blocks out of the index."""
        self._id_of[blocks] = NOTHING
        if self._later:
            for block, digest in zip(blocks.tolist(), held.tolist(), strict=True):
                if digest in self._later:
                    self._evict_one_of(block, digest)
        alone = held[self._holder[held] == blocks]
        self._holder[alone[alone != NOTHING]] = NOTHING

    def _evict_one_of(self, block: int, digest: int) -> None:
        """Take a block out of the index whose hash others hold, too."""
        later = self._later[digest]
        if self._holder[digest] == block:
            self._holder[digest], _ = later.popitem(last=False)
        else:
            del later[block]
        if not later:
            del self._later[digest]


def _distinct(digests: Sequence[Hashable]) -> list[Hashable]:
    """Return digests of which each that came before has its place added."""
    seen: set[Hashable] = set()
    found: list[Hashable] = []
    for place, one in enumerate(digests):
        found.append((one, place) if one in seen else one)
        seen.add(one)
    return found


def _with_room(array: IntArray, size: int, fill: int) -> IntArray:
    """Return an array of at least this size, twice as large where it has to grow."""
    if size <= len(array):
        return array
    return np.concatenate((array, np.full(2 * size - len(array), fill, dtype=np.int64)))
