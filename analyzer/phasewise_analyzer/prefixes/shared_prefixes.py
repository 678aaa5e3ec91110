"""How much of each prompt an earlier call had sent: any earlier one, or the previous of its stream.

Both answers are a node of the tree: the deepest one shared, -1 where nothing is.
"""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from phasewise_analyzer.prefixes.prefix_tree import PrefixTree

NEVER = 2**62
"""later than any call"""

_GROUP_SPAN = 2**40
"""more than there are calls in a group"""


def mark(
    parent: Sequence[int], leaves: Iterable[int], times: Iterable[int], first: list[int]
) -> list[int]:
    """Return the deepest node on each path that was marked earlier, and mark the path.

    `first` holds when each node was marked first, NEVER where it was not. A node's mark is never
    later than its child's, so the walk from the leaf ends at the first earlier mark: a call costs
    the nodes it is the first to send.
    """
    found = []
    for leaf, time in zip(leaves, times, strict=True):
        node = leaf
        while node >= 0 and first[node] >= time:
            first[node] = time
            node = parent[node]
        found.append(node)
    return found


def any_earlier(
    tree: PrefixTree, group: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int32]:
    """Return what any earlier call sent; with `group` (one number per call), any of its group."""
    calls = len(tree.leaf)
    order = np.arange(calls) if group is None else np.argsort(group, kind="stable")
    times = np.arange(calls)
    if group is not None:
        # marks of the groups before look later than all of this one's: they need no clearing
        times = times + (int(group.max(initial=0)) - group[order]) * _GROUP_SPAN
    first = [NEVER] * len(tree.parent)
    found = np.empty(calls, dtype=np.int32)
    found[order] = mark(tree.parent.tolist(), tree.leaf[order].tolist(), times.tolist(), first)
    return found


def previous_call(tree: PrefixTree, stream: Iterable[Hashable]) -> npt.NDArray[np.int32]:
    """Return what the last call of the same stream had sent that has a known prompt."""
    parent = tree.parent.tolist()
    last: dict[Hashable, int] = {}
    found = []
    for leaf, name in zip(tree.leaf.tolist(), stream, strict=True):
        before, here = last.get(name, -1), leaf
        # parents have the smaller numbers: the larger of two nodes is not above the other
        while before != here:
            if before > here:
                before = parent[before]
            else:
                here = parent[here]
        found.append(here)
        if leaf >= 0:
            last[name] = leaf
    return np.array(found, dtype=np.int32)
