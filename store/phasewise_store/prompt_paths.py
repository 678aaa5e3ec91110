"""Walk from a prompt's leaf to the root of the trie without scanning the nodes of all others.

Nodes of one prompt were stored near each other, so the rows around one hold many of those above it;
what lies outside is found by the primary key.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from phasewise_store.store import Store
from phasewise_store.trie import ROOT

LEAST_ROWS, MOST_ROWS = 128, 32_768
"""to each side of a node; a batch's nodes stand in any order"""
PAYS_NODES = 8
"""found in a window: with fewer the next one is half as large, with more twice"""

_NODE = "SELECT rowid, parent_id, segment_id, tokens_end FROM nodes WHERE node_id = $node"
_WINDOW = """
SELECT node_id, parent_id, segment_id, tokens_end
FROM nodes
WHERE rowid BETWEEN $first AND $last
"""


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the trie on the way to a leaf."""

    node_id: int
    parent_id: int
    segment_id: int
    tokens_end: int
    """tokens from the root, this one included"""


class PromptPaths:
    """Paths of some prompts of one store; each node is read once, however many go through it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._nodes: dict[int, Node] = {}
        self._rows = MOST_ROWS // 2
        self._window = pl.DataFrame()
        self._sorted: npt.NDArray[np.uint64] = np.empty(0, np.uint64)
        self._order: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._found_here = PAYS_NODES

    def path(self, leaf: int) -> list[Node]:
        """Give the nodes from the topmost to the leaf; none where no prompt is known."""
        path: list[Node] = []
        while leaf != ROOT:
            node = self._nodes.get(leaf) or self._in_window(leaf) or self._by_key(leaf)
            if node is None:  # a call without a stored prompt
                break
            path.append(node)
            leaf = node.parent_id
        return path[::-1]

    def _in_window(self, number: int) -> Node | None:
        place = int(np.searchsorted(self._sorted, np.uint64(number)))
        if place == len(self._sorted) or int(self._sorted[place]) != number:
            return None
        self._found_here += 1
        return self._keep(self._window.row(int(self._order[place])))

    def _by_key(self, number: int) -> Node | None:
        """Find a node by its key, and read the rows around it."""
        found = self._store.frame(_NODE, {"node": number})
        if not found.height:
            return None
        row, *rest = found.row(0)
        pays = self._found_here >= PAYS_NODES
        self._rows = min(MOST_ROWS, self._rows * 2) if pays else max(LEAST_ROWS, self._rows // 2)
        self._found_here = 0
        self._window = self._store.frame(
            _WINDOW, {"first": row - self._rows, "last": row + self._rows}
        )
        numbers = self._window["node_id"].to_numpy()
        self._order = np.argsort(numbers)
        self._sorted = numbers[self._order]
        return self._keep((number, *rest))

    def _keep(self, row: tuple[int, ...]) -> Node:
        node = Node(*row)
        self._nodes[node.node_id] = node
        return node
