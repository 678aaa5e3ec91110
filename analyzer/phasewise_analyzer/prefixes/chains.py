"""Heavy chains: the tree cut into downward paths so that every prompt crosses few of them.

A node's chain goes on in the child that most calls pass. Wherever a prompt leaves a chain it loses
at least half of the calls that pass there, so it crosses at most log2(calls) + 1 chains; the calls
of one growing session share one.
"""

from phasewise_analyzer.prefixes.prefix_tree import PrefixTree


def heads(tree: PrefixTree) -> list[int]:
    """Give, for each node, the topmost node of its chain."""
    parent = tree.parent.tolist()
    passing = [0] * len(parent)
    for leaf in tree.leaf.tolist():
        if leaf >= 0:
            passing[leaf] += 1
    heavy = [-1] * len(parent)
    most = [-1] * len(parent)
    for node in range(len(parent) - 1, -1, -1):
        above = parent[node]
        if above >= 0:
            passing[above] += passing[node]
            if passing[node] > most[above]:
                most[above] = passing[node]
                heavy[above] = node
    head = list(range(len(parent)))
    for node, above in enumerate(parent):
        if above >= 0 and heavy[above] == node:
            head[node] = head[above]
    return head
