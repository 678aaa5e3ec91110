"""The prompts of some calls as one tree, refined so that every prefix two calls share is a node.

Made of the stored trie. Traces of block hashes have a node a block; in text a node is a segment, or
the part of one that siblings share, and blocks are counted off in sixteens of estimated tokens.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from phasewise_store import reads
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store
from phasewise_store.trie import Trie

from phasewise_analyzer.prefixes import shared_text

TEXT_BLOCK_TOKENS = 16
"""vLLM's default block; what a block of a text prompt nominally is"""

TEXT_SEGMENTS = "SELECT segment_id FROM segments WHERE kind <> 'block'"
"""ids of the segments that siblings may share a part of"""


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """Paths of prompts; parents are numbered before their children."""

    parent: npt.NDArray[np.int32]
    """[nodes] index of the parent, -1 at the root"""
    tokens_end: npt.NDArray[np.int64]
    """[nodes] tokens from the root, this node's included: estimated where the prompt is text"""
    blocks_end: npt.NDArray[np.int64]
    """[nodes] blocks that end at or before this node's end"""
    leaf: npt.NDArray[np.int32]
    """[calls] node where the call's prompt ends, -1 where no prompt is known"""


def read(store: Store, scope: Scope = EVERYTHING) -> PrefixTree:
    """Read the tree of the calls in scope, in order of arrival."""
    trie = reads.trie(store, scope)
    text_ids = store.frame(TEXT_SEGMENTS)["segment_id"].to_numpy()
    return refine(trie, np.isin(trie.segment, text_ids), store)


def refine(trie: Trie, text: npt.NDArray[np.bool_], store: Store) -> PrefixTree:
    """Split sibling segments where their texts part, and number the nodes parents first.

    `text` marks the nodes whose segment is text; their contents are asked of the store.
    """
    nodes = shared_text.Nodes(
        trie.parent.tolist(), trie.tokens_end.tolist(), trie.depth.astype(np.float64).tolist()
    )
    families = shared_text.families(trie.parent, text)
    wanted: Iterable[int] = (int(trie.segment[node]) for family in families for node in family)
    contents = reads.segments(store, wanted) if families else {}
    for family in families:
        shared_text.split(nodes, {int(n): contents[int(trie.segment[n])] for n in family})
    tokens_end = np.array(nodes.tokens_end, dtype=np.int64)
    blocks_end = tokens_end // TEXT_BLOCK_TOKENS
    blocks_end[: len(text)][~text] = trie.depth[~text]
    return _parents_first(
        np.array(nodes.parent, dtype=np.int32),
        tokens_end,
        blocks_end,
        trie.leaf,
        np.argsort(np.array(nodes.rank), kind="stable"),
    )


def _parents_first(
    parent: npt.NDArray[np.int32],
    tokens_end: npt.NDArray[np.int64],
    blocks_end: npt.NDArray[np.int64],
    leaf: npt.NDArray[np.int32],
    order: npt.NDArray[np.intp],
) -> PrefixTree:
    # one more place at the end, so that -1 (the root) stays -1
    number = np.full(len(order) + 1, -1, dtype=np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return PrefixTree(number[parent[order]], tokens_end[order], blocks_end[order], number[leaf])
