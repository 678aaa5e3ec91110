"""The prompt trie: a node is one segment under its parent, and a call points at its leaf.

It is both the storage format (a history sent fifty times is fifty leaves on one path) and the
prefix index. The writer builds it here; the analyzer reads it as arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import xxhash

from phasewise_store.facts import Segment

ROOT = 0


def segment_id(segment: Segment) -> int:
    """Return the number under which a segment is stored: the first 8 bytes of its digest."""
    return int.from_bytes(segment.digest[:8], "little")


def node_id(parent_id: int, segment: Segment) -> int:
    """Return the number of a segment's node under its parent; the same in every process."""
    return xxhash.xxh3_64_intdigest(parent_id.to_bytes(8, "little") + segment.digest) or 1


@dataclass(slots=True)
class _Path:
    """The last prompt of one stream: the next one most likely starts with it."""

    segments: tuple[Segment, ...] = ()
    nodes: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Node:
    """A node as it is stored; see the table `nodes`."""

    node_id: int
    parent_id: int
    segment: Segment
    depth: int
    tokens_end: int


class PathFinder:
    """Turns prompts into leaves, and collects the nodes that a stream has not shown before."""

    def __init__(self) -> None:
        self._streams: dict[str, _Path] = {}

    def leaf(self, stream: str, prompt: tuple[Segment, ...], fresh: dict[int, Node]) -> int:
        """Return the prompt's leaf; nodes not on the stream's last path are put into `fresh`."""
        last = self._streams.get(stream, _Path())
        shared = shared_length(last.segments, prompt)
        nodes = last.nodes[:shared]
        ends = last.ends[:shared]
        parent = nodes[-1] if nodes else ROOT
        end = ends[-1] if ends else 0
        for depth, segment in enumerate(prompt[shared:], start=shared + 1):
            here = node_id(parent, segment)
            end += segment.tokens
            if here not in fresh:
                fresh[here] = Node(here, parent, segment, depth, end)
            nodes.append(here)
            ends.append(end)
            parent = here
        self._streams[stream] = _Path(prompt, nodes, ends)
        return parent

    def forget(self) -> None:
        """Drop what is remembered of the streams, to bound memory between batches."""
        self._streams.clear()


def shared_length(left: Sequence[object], right: Sequence[object]) -> int:
    """Return how many leading items two texts or prompts share, by bisection over equal slices."""
    low, high = 0, min(len(left), len(right))
    if left[:high] == right[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(frozen=True, slots=True)
class Trie:
    """The trie of some calls as dense arrays; parents come before their children."""

    node: npt.NDArray[np.uint64]
    """[nodes] node_id"""
    parent: npt.NDArray[np.int32]
    """[nodes] index of the parent, -1 at the root"""
    segment: npt.NDArray[np.uint64]
    """[nodes] segment_id"""
    depth: npt.NDArray[np.int32]
    """[nodes] segments from the root, this one included"""
    tokens_end: npt.NDArray[np.int64]
    """[nodes] tokens from the root, this one included"""
    leaf: npt.NDArray[np.int32]
    """[calls] index of the node where the call's prompt ends, -1 where no prompt is known"""

    def path(self, leaf: int) -> list[int]:
        """Return the nodes from the root to one of them."""
        path = np.empty(int(self.depth[leaf]), dtype=np.int64)
        node = leaf
        for place in range(len(path) - 1, -1, -1):
            path[place] = node
            node = int(self.parent[node])
        found: list[int] = path.tolist()
        return found


def dense(
    *,
    nodes: npt.NDArray[np.uint64],
    parents: npt.NDArray[np.uint64],
    segments: npt.NDArray[np.uint64],
    depths: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int64],
    leaves: npt.NDArray[np.uint64],
) -> Trie:
    """Renumber the nodes, parents first, keeping only those on the way to a leaf."""
    order = np.argsort(depths, kind="stable")
    nodes, parents, segments = nodes[order], parents[order], segments[order]
    depths, ends = depths[order], ends[order]
    by_id = np.argsort(nodes)
    parent = _places(nodes, by_id, parents)
    leaf = _places(nodes, by_id, leaves)
    wanted = _ancestors(parent, depths, leaf)
    number = np.cumsum(wanted, dtype=np.int64).astype(np.int32) - 1
    kept = parent[wanted]
    return Trie(
        node=nodes[wanted],
        parent=np.where(kept < 0, -1, number[kept]).astype(np.int32),
        segment=segments[wanted],
        depth=depths[wanted],
        tokens_end=ends[wanted],
        leaf=np.where(leaf < 0, -1, number[leaf] if len(number) else -1).astype(np.int32),
    )


def _places(
    nodes: npt.NDArray[np.uint64],
    by_id: npt.NDArray[np.intp],
    wanted: npt.NDArray[np.uint64],
) -> npt.NDArray[np.int32]:
    """Return the index of each wanted id among the nodes; -1 for the root."""
    if not len(nodes):
        return np.full(len(wanted), -1, dtype=np.int32)
    spot = np.minimum(np.searchsorted(nodes, wanted, sorter=by_id), len(nodes) - 1)
    found = by_id[spot]
    return np.where(nodes[found] == wanted, found, -1).astype(np.int32)


def _ancestors(
    parent: npt.NDArray[np.int32],
    depth: npt.NDArray[np.int32],
    leaf: npt.NDArray[np.int32],
) -> npt.NDArray[np.bool_]:
    """Mark the leaves and all nodes above them, one depth at a time from the deepest."""
    marked = np.zeros(len(parent), dtype=np.bool_)
    marked[leaf[leaf >= 0]] = True
    if not len(parent):
        return marked
    starts = np.searchsorted(depth, np.arange(1, int(depth[-1]) + 2))
    for level in range(int(depth[-1]) - 1, 0, -1):
        here = slice(int(starts[level]), int(starts[level + 1]))
        above = parent[here][marked[here]]
        marked[above[above >= 0]] = True
    return marked
