"""The places of recorded prompts, front first; see `prompt_cache.Asked`.

The prompts of a stream grow: of the next one only what is behind the last one is looked up.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from phasewise_analyzer.caches.prompt_cache import MESSAGES
from phasewise_analyzer.prefixes.prompt_tokens import PromptTokens

MOST_STREAMS = 256
"""whose last prompt is remembered"""


@dataclass(frozen=True, slots=True)
class Places:
    """One prompt: an entry for each of its places."""

    path: list[int] = field(default_factory=list)
    """nodes of the prefix tree"""
    ends: list[int] = field(default_factory=list)
    """tokens from the front"""
    whole: list[bool] = field(default_factory=list)
    """whether a segment ends there"""
    tiers: list[int] = field(default_factory=list)
    """index into TIERS"""


class PromptPlaces:
    """Finds the places of prompts in a prefix tree."""

    def __init__(
        self,
        parent: npt.NDArray[np.int32],
        whole: Sequence[bool],
        tiers: Sequence[int],
        tokens: PromptTokens,
    ) -> None:
        """Take a tree's parents (numbered before their children), and facts of its nodes."""
        self.parent: list[int] = parent.tolist()
        self._whole = whole
        self._tiers = tiers
        self._tokens = tokens
        self._depth: list[int] = []
        for above in self.parent:
            self._depth.append(1 if above < 0 else self._depth[above] + 1)
        self._last: dict[Hashable, Places] = {}
        self._behind_prompts: dict[tuple[int, int], Places] = {}
        """by the node where an answer ends, and group of calls"""

    def of(self, row: int, leaf: int, stream: Hashable) -> Places:
        """Give the places of a call's prompt; calls of one stream have one model."""
        last = self._last.pop(stream, Places())
        fresh = self._behind(leaf, last.path)
        kept = self._depth[leaf] - len(fresh)
        found = self._grown(last, kept, row, fresh)
        self._last[stream] = found
        if len(self._last) > MOST_STREAMS:
            del self._last[next(iter(self._last))]
        return found

    def behind(self, row: int, path: Sequence[int], end: int) -> Places:
        """Give the places between the end of a call's prompt and a node of an answer behind it."""
        group = self._tokens.group(row)
        if (end, group) not in self._behind_prompts:
            fresh = self._behind(end, path)
            self._behind_prompts[end, group] = Places(
                fresh,
                self._tokens.along(row, fresh),
                [self._whole[node] for node in fresh],
                [MESSAGES] * len(fresh),
            )
        return self._behind_prompts[end, group]

    def _behind(self, node: int, path: Sequence[int]) -> list[int]:
        """Give the nodes on the way to a node that are not on a known path, front first."""
        fresh: list[int] = []
        depth = self._depth[node]
        while node >= 0 and not (depth <= len(path) and path[depth - 1] == node):
            fresh.append(node)
            node = self.parent[node]
            depth -= 1
        return fresh[::-1]

    def _grown(self, last: Places, kept: int, row: int, fresh: list[int]) -> Places:
        tiers = last.tiers[:kept]
        extend(tiers, [self._tiers[node] for node in fresh])
        ends = self._tokens.along(row, fresh)
        return Places(
            [*last.path[:kept], *fresh],
            [*last.ends[:kept], *ends],
            [*last.whole[:kept], *(self._whole[node] for node in fresh)],
            tiers,
        )


def extend(tiers: list[int], fresh: Sequence[int]) -> None:
    """Add the tiers of further places; a system message among messages is a message."""
    start = 0 if tiers else 1
    tiers += fresh[:start]
    if tiers and tiers[0] == MESSAGES:
        tiers += fresh[start:]
        return
    for place in range(start, len(fresh)):
        if tiers[-1] == MESSAGES:
            tiers += [MESSAGES] * (len(fresh) - place)
            return
        tiers.append(max(fresh[place], tiers[-1]))
