"""An index of hashed prompts that grows by one prompt at a time.

A prompt comes as the ids of its blocks. The index keeps each block once, in chains: a chain is what
one prompt was the first to send, and what later ones added at its end. For each prompt it says how
much of it had been sent before, and which earlier call had touched which part last; from these come
the curves over every capacity (`lru`) and every lifetime (`ttl`).

A prompt mostly repeats the last one of its stream, so it is compared with that first, in one slice.
"""

from array import array
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phasewise_analyzer.prefixes.lru import Stretches, of_rows
from phasewise_analyzer.prefixes.lru_stack import LruStack, Part

Ids = npt.NDArray[np.int64]

_ROOT = -1


@dataclass(slots=True)
class _Chain:
    """Blocks that stand one behind another, from some depth on."""

    start: int
    length: int
    ids: Ids
    """the first `length` are used"""

    def extend(self, ids: Ids) -> None:
        """Add blocks at the end."""
        end = self.length + len(ids)
        if end > len(self.ids):
            grown = np.empty(max(end, len(self.ids) * 5 // 4), dtype=np.int64)
            grown[: self.length] = self.ids[: self.length]
            self.ids = grown
        self.ids[self.length : end] = ids
        self.length = end


@dataclass(frozen=True, slots=True)
class _Last:
    """The last prompt of a stream."""

    ids: Ids
    path: list[Part]
    """from the front"""


class PrefixIndex:
    """Blocks of many prompts, each once."""

    def __init__(self) -> None:
        self._chains: list[_Chain] = []
        self._branches: dict[tuple[int, int, int], int] = {}
        """(chain, depth, id of the block that follows there) -> the chain that starts with it"""
        self._streams: dict[Hashable, _Last] = {}
        self._stack = LruStack()
        self._rows = array("q")
        self.calls = 0
        self.unique_blocks = 0

    def add(self, ids: Ids, stream: Hashable) -> int:
        """Take in a prompt; give how many of its leading blocks some prompt before it had."""
        path, known = self._follow(ids, stream)
        if known < len(ids):
            self._insert(ids, known, path)
        self._streams[stream] = _Last(ids, path)
        found = self._stack.touch(reversed(path), len(ids))
        for touched in found:
            self._rows.extend((self.calls, *touched))
        self.calls += 1
        self.unique_blocks += len(ids) - known
        return known

    def stretches(self) -> Stretches:
        """Return what `lru.curve` and `ttl.curve` are made of, for all prompts so far."""
        return of_rows(self._rows)

    def _follow(self, ids: Ids, stream: Hashable) -> tuple[list[Part], int]:
        """Walk down as far as the index knows the prompt; give the way and how far that is."""
        path: list[Part] = []
        depth = 0
        chain = _ROOT
        last = self._streams.get(stream)
        if last is not None:
            depth = _common(last.ids, ids)
            for part in last.path:
                if part[1] >= depth:
                    break
                chain = part[0]
                path.append((chain, part[1], min(part[2], depth)))
        while depth < len(ids):
            if chain != _ROOT:
                here = self._chains[chain]
                further = _common(here.ids[depth - here.start : here.length], ids[depth:])
                if further:
                    depth += further
                    path[-1] = (chain, path[-1][1], depth)
                    continue
            below = self._branches.get((chain, depth, int(ids[depth])))
            if below is None:
                break
            chain = below
            path.append((chain, depth, depth))
        return path, depth

    def _insert(self, ids: Ids, known: int, path: list[Part]) -> None:
        """Add what is new: at the end of the chain that was left there, or as a chain below it."""
        new = ids[known:]
        if path:
            chain, start, _ = path[-1]
            here = self._chains[chain]
            if here.start + here.length == known:
                here.extend(new)
                path[-1] = (chain, start, len(ids))
                return
        above = path[-1][0] if path else _ROOT
        self._branches[above, known, int(new[0])] = len(self._chains)
        path.append((len(self._chains), known, len(ids)))
        self._chains.append(_Chain(known, len(new), new.copy()))


def _common(left: Ids, right: Ids) -> int:
    """Return the number of leading ids two prompts share."""
    length = min(len(left), len(right))
    if not length or left[0] != right[0]:
        return 0
    differ = left[:length] != right[:length]
    place = int(differ.argmax())
    return place if differ[place] else length
