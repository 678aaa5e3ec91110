"""The prefix tree of some calls, whose nodes can be traced back to the stored segments.

A node that was put above siblings which start alike stands for the first of them.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from phasewise_store import reads
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store
from phasewise_store.trie import Trie

from phasewise_analyzer.prefixes import prefix_tree
from phasewise_analyzer.prefixes.prefix_tree import TEXT_SEGMENTS, PrefixTree


@dataclass(frozen=True, slots=True)
class PlacedTree:
    """A prefix tree whose nodes know their segments."""

    tree: PrefixTree
    segment: npt.NDArray[np.uint64]
    """[nodes] the segment that the node is (part of)"""
    index: npt.NDArray[np.int64]
    """[nodes] segments before it in the prompt"""
    inside: npt.NDArray[np.bool_]
    """[nodes] whether the node ends inside its segment, where siblings part"""
    stored: Trie
    """what it was made of"""


def read(store: Store, scope: Scope = EVERYTHING) -> PlacedTree:
    """Read the tree of the calls in scope, in order of arrival."""
    trie = reads.trie(store, scope)
    text_ids = store.frame(TEXT_SEGMENTS)["segment_id"].to_numpy()
    # with every stored node as a leaf, the refined tree says where each of them went
    every = replace(trie, leaf=np.arange(len(trie.parent), dtype=np.int32))
    refined = prefix_tree.refine(every, np.isin(trie.segment, text_ids), store)
    tree = replace(refined, leaf=np.append(refined.leaf, np.int32(-1))[trie.leaf])
    stored = np.full(len(tree.parent), -1, dtype=np.int64)
    stored[refined.leaf] = np.arange(len(trie.parent))
    inside = stored < 0
    for node in np.flatnonzero(np.append(inside, False)[tree.parent])[::-1].tolist():
        stored[tree.parent[node]] = stored[node]
    index = trie.depth[stored].astype(np.int64) - 1
    return PlacedTree(tree, trie.segment[stored], index, inside, trie)
