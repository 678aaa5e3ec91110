"""Tokens at every place of a prompt, from what the calls before it reported.

Where an earlier prompt of the model ended, its reported total is known; between two such places
tokens are spread like those of the text. What the topmost total holds beyond its text, at the rate
by which prompts were seen to grow, stands in front of it (a template, hidden tools). Unlike in
`token_estimates`, nothing is learned from calls that come later: a call is judged once.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from phasewise_analyzer.prefixes.live_tree import LiveTree
from phasewise_analyzer.prefixes.prompt_tokens import KNOWN_ORIGINS
from phasewise_analyzer.prefixes.token_estimates import (
    FEWEST_DELTAS,
    LEAST_PLAUSIBLE,
    MOST_TAIL_TOKENS,
    SHORTEST_DELTA,
    USUAL_RATE,
)


@dataclass(frozen=True, slots=True)
class Counted:
    """Tokens of one prompt."""

    ends: list[int]
    """from the front to each of its places"""
    whole: int
    """of the whole prompt: as reported, else estimated"""


class _Reported:
    """What calls of one model reported."""

    def __init__(self) -> None:
        self.totals: dict[int, int] = {}
        """by node: tokens of the prompt that ends there"""
        self._deltas = self._size = self._gain = 0

    def learn(self, size: int, gain: int) -> None:
        """Take in by how much a prompt is longer than one that it goes on from."""
        if size >= SHORTEST_DELTA and gain > 0:
            self._deltas += 1
            self._size += size
            self._gain += gain

    @property
    def rate(self) -> float:
        """Return the tokens per estimated token of the text."""
        return self._gain / self._size if self._deltas >= FEWEST_DELTAS else USUAL_RATE


class LiveTokens:
    """What calls reported of the places where their prompts ended."""

    def __init__(self, tree: LiveTree) -> None:
        self._tree = tree
        self._reported: dict[Hashable, _Reported] = {}
        """by model"""

    def count(self, call: Mapping[str, object], path: Sequence[int]) -> Counted:
        """Count a prompt with what its own call reports, which is kept for later ones."""
        block_tokens = _number(call, "block_tokens")
        size = _number(call, "input_tokens")
        reported = self._reported.setdefault(
            (call["provider"], call["model"], block_tokens), _Reported()
        )
        total = size - _tail(call) if call["usage_origin"] in KNOWN_ORIGINS else 0
        if block_tokens:
            ends = self._of_blocks(path, reported, total, block_tokens)
        else:
            ends = self._of_text(path, reported, total)
        return Counted(ends, size or ends[-1])

    def _of_text(self, path: Sequence[int], reported: _Reported, total: int) -> list[int]:
        tokens_end = self._tree.tokens_end
        estimates = [tokens_end[node] for node in path]
        totals = reported.totals
        known = [place for place, node in enumerate(path[:-1]) if node in totals]
        if total > 0 and total >= LEAST_PLAUSIBLE * estimates[-1]:
            if known:
                last = known[-1]
                reported.learn(estimates[-1] - estimates[last], total - totals[path[last]])
            totals[path[-1]] = total
        if path[-1] in totals:
            known.append(len(path) - 1)
        rate = reported.rate
        if not known:
            return [round(rate * estimate) for estimate in estimates]
        at = [estimates[place] for place in known]
        said = np.maximum.accumulate([totals[path[place]] for place in known])
        overhead = min(max(0.0, said[0] - rate * at[0]), float(said[0]))
        found = np.interp(estimates, [0, *at], [overhead, *np.minimum(said, said[-1])])
        found += rate * np.maximum(np.array(estimates) - at[-1], 0)
        counted: list[int] = np.rint(found).astype(np.int64).tolist()
        return counted

    def _of_blocks(
        self, path: Sequence[int], reported: _Reported, total: int, block_tokens: int
    ) -> list[int]:
        """Count blocks; the last one of a prompt may be partial, as its call reports."""
        totals = reported.totals
        if total > 0:
            totals[path[-1]] = max(total, totals.get(path[-1], 0))
        blocks_end = self._tree.blocks_end
        found = []
        for node in path:
            whole = blocks_end[node] * block_tokens
            found.append(min(whole, totals.get(node, whole)))
        return found


def _tail(call: Mapping[str, object]) -> int:
    """Return the tokens behind a prompt's last breakpoint; see `prompt_tokens`."""
    left = _number(call, "uncached_tokens")
    written = _number(call, "cache_write_5m_tokens") + _number(call, "cache_write_1h_tokens")
    return left if written > 0 and left <= MOST_TAIL_TOKENS else 0


def _number(call: Mapping[str, object], name: str) -> int:
    value = call[name]
    assert value is None or isinstance(value, int)
    return value or 0
