"""Which earlier call a prompt is compared with, and how much of it is still the same.

A call is expected to continue where the previous call of its stream ended. The first call of a
stream is expected to start with the tools and the system prompt of the first call of the last
stream of the same role. What it shares is measured against all earlier calls of the same model,
since a cache keeps them all: a call that returns to an older one (a retry, a fork) breaks nothing.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phasewise_analyzer.caches.requests import Requests, models
from phasewise_analyzer.prefixes import lru, shared_prefixes
from phasewise_analyzer.prefixes.chains import heads
from phasewise_analyzer.prefixes.prefix_tree import PrefixTree

Ints = npt.NDArray[np.int64]
Nodes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Predecessors:
    """Rows of other calls, one for each call in order of arrival; -1 where there is none."""

    previous: Ints
    """the last call of the same stream with a known prompt, whatever its model"""
    template: Ints
    """for the first call of a stream: the first call of the last stream of its role and model"""
    parent: Ints
    """for the first call of a sub-agent: its parent's last call of the same model"""
    nearest: Ints
    """of all earlier calls of the model, the last of those that share most"""
    shared: Nodes
    """[calls] the deepest node that `nearest` and the call share"""
    with_previous: Nodes
    """[calls] the deepest node that `previous` and the call share, whatever the model"""


def find(requests: Requests) -> Predecessors:
    """Find them for all calls, in order of arrival."""
    calls, tree = requests.calls, requests.tree
    group = models(calls)
    previous = np.full(calls.height, -1, dtype=np.int64)
    template = np.full(calls.height, -1, dtype=np.int64)
    parent = np.full(calls.height, -1, dtype=np.int64)
    last: dict[str, int] = {}
    first: dict[tuple[str, str | None, int], int] = {}
    named = calls.select("source", "agent_id", "agent", "parent_agent_id").iter_rows()
    for row, (source, agent_id, agent, parent_id) in enumerate(named):
        if tree.leaf[row] < 0:
            continue
        previous[row] = last.get(agent_id, -1)
        if agent_id not in last:
            role = (source, agent, int(group[row]))
            template[row] = first.get(role, -1)
            first[role] = row
            above = last.get(parent_id, -1)
            parent[row] = above if above >= 0 and group[above] == group[row] else -1
        last[agent_id] = row
    return Predecessors(
        previous,
        template,
        parent,
        _nearest(tree, group),
        requests.earlier,
        shared_prefixes.previous_call(tree, calls["agent_id"].to_list()),
    )


def _nearest(tree: PrefixTree, group: Ints) -> Ints:
    """Give the last call that touched the deepest known part of each prompt, a model at a time."""
    nearest = np.full(len(tree.leaf), -1, dtype=np.int64)
    chains = heads(tree)
    for number in range(int(group.max(initial=-1)) + 1):
        rows = np.flatnonzero(group == number)
        found = lru.stretches(
            PrefixTree(tree.parent, tree.tokens_end, tree.blocks_end, tree.leaf[rows]), chains
        )
        order = np.argsort(found.to_block, kind="stable")
        # the last assignment wins: the deepest stretch of each call
        nearest[rows[found.call[order]]] = rows[found.before[order]]
    return nearest
