"""Read the prompts of two calls as segments, for the few pairs that need a diagnosis."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
from phasewise_store import reads
from phasewise_store.facts import Segment
from phasewise_store.store import Store
from phasewise_store.trie import Trie

AT_ONCE = 200
"""pairs whose texts are in memory together"""

Pair = tuple[int, int]
"""rows of two calls: the earlier and the later"""
Prompt = tuple[Segment, ...]


class PromptPaths:
    """The segments of prompts, by the stored trie."""

    def __init__(self, trie: Trie) -> None:
        self._parent = trie.parent.tolist()
        self._segment = trie.segment
        self._leaf = trie.leaf

    def segments(self, row: int) -> list[int]:
        """Return the ids of a prompt's segments, front first."""
        path = []
        node = int(self._leaf[row])
        while node >= 0:
            path.append(node)
            node = self._parent[node]
        found: list[int] = self._segment[path[::-1]].tolist()
        return found


class Prompts:
    """The prompts of some calls, read when they are asked for."""

    def __init__(
        self,
        store: Store,
        segments: Callable[[int], list[int]],
        block_tokens: npt.NDArray[np.int64],
    ) -> None:
        """Take what gives the ids of the segments of a row's prompt."""
        self._store = store
        self._segments = segments
        self._block_tokens = block_tokens

    def pairs(self, wanted: Iterable[Pair]) -> Iterator[tuple[Pair, Prompt, Prompt]]:
        """Return the segments of both prompts of each pair."""
        waiting = iter(wanted)
        while some := tuple(islice(waiting, AT_ONCE)):
            ids = {row: self._segments(row) for pair in some for row in pair}
            texts = reads.segments(
                self._store,
                (one for row, path in ids.items() if not self._block_tokens[row] for one in path),
            )
            blocks: dict[int, dict[int, Segment]] = {}
            for pair in some:
                old, new = (self._prompt(row, ids[row], texts, blocks) for row in pair)
                yield pair, old, new

    def _prompt(
        self,
        row: int,
        ids: Sequence[int],
        texts: Mapping[int, Segment],
        blocks: dict[int, dict[int, Segment]],
    ) -> Prompt:
        tokens = int(self._block_tokens[row])
        if not tokens:
            return tuple(texts[one] for one in ids)
        made = blocks.setdefault(tokens, {})
        for one in ids:  # a block is its number: there is nothing to read
            if one not in made:
                made[one] = Segment("block", one.to_bytes(16, "little"), tokens)
        return tuple(map(made.__getitem__, ids))


_FRONTS = """
WITH RECURSIVE way AS (
    SELECT DISTINCT unnest($leaves)::UBIGINT AS node_id
    UNION
    SELECT n.parent_id FROM nodes n JOIN way USING (node_id) WHERE n.parent_id <> 0
)
SELECT n.node_id, n.parent_id, n.segment_id, n.depth, s.kind
FROM way
JOIN nodes n USING (node_id)
JOIN segments s USING (segment_id)
"""


def front_of(store: Store, leaves: Sequence[int], messages: int) -> Iterator[Prompt]:
    """Return the tools, system blocks and first messages of the prompts that end at these nodes."""
    found = store.frame(_FRONTS, {"leaves": sorted(set(leaves))})
    above = {row[0]: row for row in found.iter_rows()}
    fronts: dict[int, tuple[int, ...]] = {0: ()}
    left: dict[int, int] = {0: messages}
    for node, parent, segment, _, kind in sorted(above.values(), key=lambda row: row[3]):
        fixed = kind in ("tool", "system") and left[parent] == messages
        taken = fixed or left[parent] > 0
        fronts[node] = (*fronts[parent], segment) if taken else fronts[parent]
        left[node] = left[parent] - (taken and not fixed)
    texts = reads.segments(store, {one for leaf in leaves for one in fronts[leaf]})
    for leaf in leaves:
        yield tuple(texts[one] for one in fronts[leaf])
