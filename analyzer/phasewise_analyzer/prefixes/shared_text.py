"""Split sibling segments where their texts part, so that a prefix can end inside a segment.

Two prompts whose system blocks differ in a date at the end share all before it. The stored trie has
two siblings there; here they get a common parent that holds the shared pieces (words, digits,
punctuation: `phasewise_store.tokens`). After that, nothing else in the analyzer knows of text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from phasewise_store.facts import Segment
from phasewise_store.tokens import piece_tokens, pieces
from phasewise_store.trie import shared_length

MARGIN_CHARACTERS = 256
"""text read beyond a common prefix: a longer piece is cut, but in both texts alike"""


@dataclass(slots=True)
class Nodes:
    """Trie nodes that can grow: index of the parent, tokens from the root, rank."""

    parent: list[int]
    """-1 at the root"""
    tokens_end: list[int]
    """tokens from the root, the node's own included"""
    rank: list[float]
    """grows from parent to child"""
    added: int = field(init=False, default=0)

    def add(self, tokens_end: int, rank: float) -> int:
        """Add a node whose parent is not known yet and give its index."""
        self.parent.append(-1)
        self.tokens_end.append(tokens_end)
        self.rank.append(rank)
        self.added += 1
        return len(self.parent) - 1


def families(
    parent: npt.NDArray[np.int32], text: npt.NDArray[np.bool_]
) -> list[npt.NDArray[np.intp]]:
    """Return the text nodes that have siblings, a family each: the nodes under one parent."""
    nodes = np.flatnonzero(text)
    nodes = nodes[np.argsort(parent[nodes], kind="stable")]
    starts = np.flatnonzero(np.diff(parent[nodes])) + 1
    return [family for family in np.split(nodes, starts) if len(family) > 1]


def split(nodes: Nodes, family: Mapping[int, Segment]) -> None:
    """Put common parents above the nodes of one family, wherever two of them start alike.

    Texts of another kind or role never share: what the model reads before them differs.
    """
    alike: dict[tuple[str, str | None], dict[int, str]] = {}
    for node, segment in family.items():
        if segment.content:
            text = segment.content.decode("utf-8", "surrogatepass")
            alike.setdefault((segment.kind, segment.role), {})[node] = text
    for texts in alike.values():
        cut = _shared_pieces(texts)
        if len(cut) > 1:
            _grow(nodes, cut)


def common_tokens(left: str, right: str) -> int:
    """Return the tokens of the whole pieces with which both texts begin."""
    length = shared_length(left, right)
    if not length:
        return 0
    one, other = (pieces(text[: length + MARGIN_CHARACTERS]) for text in (left, right))
    return sum(map(piece_tokens, one[: _common_pieces(one, other)]))


def _shared_pieces(texts: Mapping[int, str]) -> list[tuple[list[str], int]]:
    """Cut the texts that start like another one into pieces, a little beyond; in sorted order."""
    order = sorted(texts, key=texts.__getitem__)
    shared = dict.fromkeys(order, 0)
    for left, right in pairwise(order):
        length = shared_length(texts[left], texts[right])
        shared[left] = max(shared[left], length)
        shared[right] = max(shared[right], length)
    return sorted(
        (pieces(texts[node][: length + MARGIN_CHARACTERS]), node)
        for node, length in shared.items()
        if length
    )


def _grow(nodes: Nodes, cut: list[tuple[list[str], int]]) -> None:
    """Build the radix tree of sorted piece lists: one node for every place where some of them part.

    `open_nodes` is the path to the text before: pieces shared and node, the family's parent first.
    """
    first = cut[0][1]
    parent = nodes.parent[first]
    start = nodes.tokens_end[parent] if parent >= 0 else 0
    above_rank = nodes.rank[first] - 1.0
    open_nodes = [(0, parent)]
    for (left, node), (right, _) in pairwise(cut):
        below = node
        shared = _common_pieces(left, right)
        while open_nodes[-1][0] > shared:
            _, closed = open_nodes.pop()
            nodes.parent[below] = closed
            below = closed
        if open_nodes[-1][0] < shared:
            tokens = sum(map(piece_tokens, left[:shared]))
            # between the family's parent and the family; the longer prefix lower
            grown = nodes.add(start + tokens, above_rank + shared / (shared + 1))
            open_nodes.append((shared, grown))
        nodes.parent[below] = open_nodes[-1][1]
    below = cut[-1][1]
    while open_nodes:
        _, closed = open_nodes.pop()
        nodes.parent[below] = closed
        below = closed


def _common_pieces(left: list[str], right: list[str]) -> int:
    for place, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return place
    return min(len(left), len(right))
